"""CPU kernels whose result for an image does not depend on its batch."""
