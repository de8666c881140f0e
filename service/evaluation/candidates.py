"""Methods that can be compared on a network: what fits of the registries of `service.methods`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.errors import OptionError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    DEFAULT_COMPOSITE,
    PLAIN,
    STARTS,
    Method,
    Start,
    make_method,
)
from service.runtime.engine import Engine


@dataclass(frozen=True)
class Candidate:
    """A method under a readable name.

    Attributes
    ----------
    name : str
        Its options where they are not the default ones: `epsilon_plus_flat`,
        `epsilon_gamma_box (one_hot)`, `smooth_grad`, `smooth_grad (none)`.
    method : Method
        The method.
    start : {"one_hot", "logit"}
        The relevance at the target.
    options : mapping of str to str
        What a request has to say to get it.
    """

    name: str
    method: Method
    start: Start
    options: Mapping[str, str]


def find_candidates(engine: Engine, *, all_starts: bool = True) -> list[Candidate]:
    """Every composite, attributor and start that fits a network, the model's default first.

    Parameters
    ----------
    engine : Engine
        The network.
    all_starts : bool
        Whether a method is listed with both starts; otherwise with its default one.
    """
    found: list[Candidate] = []
    for options in _options(engine):
        try:
            method = make_method(
                *(options.get("composite"), options.get("attributor", DEFAULT_ATTRIBUTOR), {}),
                input_size=engine.card.input_size,
                own=engine.own_composites,
            )
            default = engine.explainer.prepare(method).default_start
        except OptionError:  # the rules do not fit the network
            continue
        has_starts = all_starts and ATTRIBUTORS[method.attributor].is_modified
        starts = (default, *(s for s in STARTS if s != default)) if has_starts else (default,)
        found += (_candidate(options, method, start, default) for start in starts)
    return found


def _options(engine: Engine) -> Iterator[dict[str, str]]:
    """Options of requests: the default, each composite, then each attributor with what it takes."""
    default = _default_options(engine)
    yield default
    yield from (options for options in _registered(engine) if options != default)


def _registered(engine: Engine) -> Iterator[dict[str, str]]:
    yield from ({"composite": name} for name in (*COMPOSITES, *engine.own_composites))
    for name, attributor in ATTRIBUTORS.items():
        if name == DEFAULT_ATTRIBUTOR:
            continue
        yield {"attributor": name}
        if attributor.is_modified:
            yield {"attributor": name, "composite": PLAIN}


def _default_options(engine: Engine) -> dict[str, str]:
    """What a request would have to say to get what it gets if it names no method."""
    own = engine.card.default_method
    options = own.options() if own else {}
    if options.get("attributor") == DEFAULT_ATTRIBUTOR:
        del options["attributor"]
    if not options:
        return {"composite": DEFAULT_COMPOSITE}
    if "attributor" in options and options.get("composite") == DEFAULT_COMPOSITE:
        del options["composite"]
    return options


def _candidate(
    options: Mapping[str, str], method: Method, start: Start, default: Start
) -> Candidate:
    words = [options[key] for key in ("attributor", "composite") if key in options]
    chosen = dict(options)
    if start != default:
        words.append(start)
        chosen["start"] = start
    name, *rest = words
    return Candidate(f"{name} ({', '.join(rest)})" if rest else name, method, start, chosen)


def default_candidate(engine: Engine) -> Candidate:
    """The method of a request that names none: the model's own, or the service's.

    The first one that fits, where the network cannot be given the rules of the service's.
    """
    return find_candidates(engine, all_starts=False)[0]
