"""Batch jobs: explanations of very many images, which can be resumed. Needs no FastAPI."""
