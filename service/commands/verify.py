"""`lrpserve verify`: compare every composite on a model with zennit."""

from __future__ import annotations

from service.models.bundles import Bundle, read_bundle
from service.models.registry import find_bundle
from service.runtime.device import open_device
from service.runtime.engine import Engine
from service.settings import Settings
from service.terminal import print_line, print_table

_HEADERS = ("composite", "precision", "engine", "difference", "limit", "")


def check_bundle(bundle: Bundle) -> None:
    """Warm up an engine, as the service does at start-up, with its self-test.

    Raises
    ------
    BundleError
        The relevance differs from the reference.
    """
    Engine(bundle, open_device("cpu")).warm_up()


def verify_model(settings: Settings) -> int:
    """Print how much each composite differs from zennit; returns the number of failed checks.

    Parameters
    ----------
    settings : Settings
        The model and the device.

    Raises
    ------
    BundleError
        The bundle or the device cannot be used.
    """
    folder = find_bundle(settings.model, settings.models)
    # not load_engines, which raises an error where a check fails
    engine = Engine(read_bundle(folder, settings.architectures), open_device(settings.devices[0]))
    checks = engine.verify()
    rows = []
    for check in checks:
        verdict = "passed" if check.passed else "FAILED"
        if check.engine == "-":
            verdict = "does not fit the network"
        numbers = (f"{check.difference:.1e}", f"{check.limit:g}")
        rows.append((check.composite, check.dtype, check.engine, *numbers, verdict))
    print_line(f"{engine.card.name} on {engine.device_name}, against zennit:")
    print_table(_HEADERS, rows)
    return sum(not check.passed for check in checks)
