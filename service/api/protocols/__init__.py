"""Protocols of others: KServe v1, the Open Inference Protocol, TorchServe."""
