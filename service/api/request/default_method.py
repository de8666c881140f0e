"""The default method of a model, in place of the method that a request does not name."""

from __future__ import annotations

from service.api.request.options import ExplainOptions
from service.methods import ATTRIBUTORS, DEFAULT_ATTRIBUTOR, INPUT
from service.models.card import ModelCard


def with_default_method(options: ExplainOptions, card: ModelCard) -> ExplainOptions:
    """Let the model's own default method apply where the request names no method.

    One that explains the plain network has no relevance of other layers, nor a start: a request
    for those gets the default of the service.
    """
    default = card.default_method
    is_named = options.composite is not None or "attributor" in options.model_fields_set
    if default is None or is_named:
        return options
    is_modified = ATTRIBUTORS[default.attributor or DEFAULT_ATTRIBUTOR].is_modified
    has_layers = options.layer != INPUT or options.layers is not None
    if (has_layers or options.start is not None) and not is_modified:
        return options
    if options.layers is not None and default.attributor not in (None, DEFAULT_ATTRIBUTOR):
        return options  # several layers come from one pass
    return options.model_copy(update=default.options())
