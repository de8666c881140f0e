"""API keys: made at random, and known by their hashes only."""

from __future__ import annotations

import hashlib
import re
import secrets

MIN_CHARACTERS = 16
_PREFIX = "sha256:"
_HASH = re.compile(rf"{_PREFIX}[0-9a-f]{{64}}")


def make_key() -> str:
    """A new key, which nobody can guess."""
    return secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The hash of a key, as the settings hold it: `sha256:` and 64 hex digits."""
    # a key has enough randomness of its own: a slow hash, as for passwords, would add nothing
    return _PREFIX + hashlib.sha256(key.encode()).hexdigest()


def read_key(text: str) -> str:
    """The hash of what stands for a key: the key itself, or its hash.

    Raises
    ------
    ValueError
        It is too short, or not a hash; the message holds nothing of it.
    """
    if text.lower().startswith(_PREFIX):
        if not _HASH.fullmatch(text.lower()):
            raise ValueError(f"what follows {_PREFIX} must be 64 hex digits; make one: {_MAKE}")
        return text.lower()
    if len(text) < MIN_CHARACTERS:
        raise ValueError(f"a key has at least {MIN_CHARACTERS} characters; make one: {_MAKE}")
    return hash_key(text)


def digest_of(hashed: str) -> bytes:
    """The digest that is in a hash."""
    return bytes.fromhex(hashed.removeprefix(_PREFIX))


def name_of(hashed: str) -> str:
    """What a key is called in logs: the first 8 hex digits of its hash."""
    return hashed.removeprefix(_PREFIX)[:8]


_MAKE = "lrpserve key"
