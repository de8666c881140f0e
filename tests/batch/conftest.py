"""An explainer of the shipped model for batch jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.batch.explainer import BatchExplainer
from service.runtime.engine import Engine

MakeExplainer = Callable[..., BatchExplainer]


@pytest.fixture(scope="session")
def make_explainer(engine: Engine) -> MakeExplainer:
    """Makes an explainer, given options as `/explain` takes them."""

    def make(**options: object) -> BatchExplainer:
        return BatchExplainer.of_options(engine, options, 40_000_000)

    return make
