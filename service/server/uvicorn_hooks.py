"""A check that uvicorn has the hooks that the server is built on."""

from __future__ import annotations

import uvicorn


def check_uvicorn(owner: type, methods: tuple[str, ...], attributes: tuple[str, ...] = ()) -> None:
    """Check that a class of uvicorn has what is built on.

    Parameters
    ----------
    owner : type
        The class.
    methods, attributes : tuple of str
        Names of its methods, and of the attributes that its `__init__` sets.

    Raises
    ------
    ImportError
        One is missing.
    """
    missing = [name for name in methods if not callable(getattr(owner, name, None))]
    set_in_init = owner.__init__.__code__.co_names  # type: ignore[misc]  # of a class, not of an instance
    missing += [name for name in attributes if name not in set_in_init]
    if missing:
        raise ImportError(
            f"uvicorn {uvicorn.__version__} has no {owner.__name__}.{missing[0]}, which lrpserve "
            "is built on; install a version that pyproject.toml allows"
        )
