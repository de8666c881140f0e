"""The Open Inference Protocol v2, that of KServe and Triton: over HTTP here, and over gRPC.

The contract, beside that of the protocol (KServe's `open-inference-protocol`, and Triton's
extensions `binary_tensor_data`, `classification` and `parameters`):

- An explanation is an output of `infer`. A request for no output of relevance is a prediction.
- Options are `parameters`. Reserved parameters and unknown fields pass, unknown parameters do not.
- The images of a request fail together, as the protocol has no place for the error of one of them:
  the error is that of the first image, and names it.
"""
