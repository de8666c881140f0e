"""Which requests may have evidence: those of one map on one image, for a format that holds it."""

from __future__ import annotations

from service.api.request.accept import JSON
from service.api.request.options import EVIDENCE, ExplainOptions
from service.errors import OptionError


def check_evidence(options: ExplainOptions, media_type: str, *, has_picture: bool) -> None:
    """Refuse evidence where it would have no meaning or no place.

    Raises
    ------
    OptionError
        Says why, and what to do.
    """
    if EVIDENCE not in options.output:
        return
    if media_type != JSON:
        raise OptionError.of("output", f"{EVIDENCE} fits into JSON only: accept {JSON}")
    if options.layers is not None:
        raise OptionError.of(
            "layers", f"{EVIDENCE} is about one map: give one `layer`, or none for the image"
        )
    if not has_picture:
        raise OptionError.of(
            "output",
            f"the layer {options.layer} has no rows and columns, so that no part of the image "
            f"belongs to its relevance: leave {EVIDENCE} out, or give another layer",
        )
    if options.attributor == "occlusion":
        raise OptionError.of(
            "output",
            f"{EVIDENCE} hides parts of the image, as occlusion does to make its map, which would "
            "be tested with itself: leave it out, or give another attributor",
        )
