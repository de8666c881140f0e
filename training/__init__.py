"""Training and evaluation of the networks that the service explains."""

from service.runtime.cores import set_wait_policy

set_wait_policy()  # here, as the modules of this package import torch
