"""Load an engine: device, bundle, warm-up. Imports torch, so import it where that may take time."""

from __future__ import annotations

from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.device import open_device
from service.runtime.engine import Engine


def load_engine(model: str, device: str) -> Engine:
    """Load and warm up an engine.

    Parameters
    ----------
    model : str
        Name of a bundle that ships, or the path of a bundle's folder.
    device : str
        `auto`, or a device as torch names it.

    Raises
    ------
    BundleError
        The bundle or the device cannot be used.
    """
    engine = Engine(read_bundle(find_bundle(model)), open_device(device))
    engine.warm_up()
    return engine
