"""Names of the architectures that need no code of the user, and checks of names. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import BundleError, join_names

VGG = tuple(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn"))
RESNET = tuple(f"resnet{depth}" for depth in (18, 34, 50, 101, 152))
TORCHVISION = ("alexnet", *VGG, *RESNET)
RESNET18_32 = "resnet18-32"  # for images of 32x32

# the linear layer whose outputs are the logits: its weight has a row for each class
LAST_LAYERS = {
    "minivgg": "classifier.7",
    **dict.fromkeys(("alexnet", *VGG), "classifier.6"),
    **dict.fromkeys((*RESNET, RESNET18_32), "fc"),
}


def check_architecture(architecture: str, allowed_modules: Sequence[str] = ()) -> None:
    """Check the name of an architecture, without importing its code.

    Parameters
    ----------
    architecture : str
        A key of `LAST_LAYERS`, or `module:factory` for user code.
    allowed_modules : sequence of str
        The modules that may be imported. A bundle alone must never decide what code runs.

    Raises
    ------
    BundleError
        The architecture is unknown or not allowed.
    """
    module, colon, name = architecture.partition(":")
    if not colon:
        if architecture not in LAST_LAYERS:
            raise BundleError(
                f"the architecture {architecture!r} is not known; known are: "
                f"{join_names(LAST_LAYERS)}, and module:factory for code of your own"
            )
        return
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise BundleError(
            f"the architecture {architecture!r} cannot be: write module:factory, as in mynets:small"
        )
    if module not in allowed_modules:
        wanted = ",".join([*allowed_modules, module])
        raise BundleError(
            f"the architecture {architecture} runs code of the module {module!r}, which is not "
            f"allowed; if you trust it, set LRPSERVE_ARCHITECTURES={wanted}"
        )
