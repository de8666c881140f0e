"""Networks and their files: architectures, bundles (weights and card), the registry."""
