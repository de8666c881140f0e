"""The service on Ray: `serve run service.ray:build`."""

from service.ray.application import build

__all__ = ["build"]
