"""The Open Inference Protocol v2 over gRPC: `inference.GRPCInferenceService`. Needs grpcio.

The contract:

- Keys are the metadata `authorization` or `x-api-key`. They are checked, and so are the rate limit
  and the room in the queue, before a message is read. Liveness and readiness need no key.
- Tensors are in `raw_input_contents` and `raw_output_contents`; typed contents of inputs are read.
- The deadline of a call shortens that of the service. A call that is cancelled cancels its jobs.
- Errors have the code of their HTTP status (`CODES`) and the text that HTTP has.
"""
