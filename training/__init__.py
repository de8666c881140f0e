"""Training and evaluation of the networks that the service explains."""
