"""API keys: random tokens, of which the service keeps the SHA-256 only."""

from __future__ import annotations

import hashlib
import re
import secrets

MIN_CHARACTERS = 16
_PREFIX = "sha256:"
_HASH = re.compile(rf"{_PREFIX}[0-9a-f]{{64}}")


def make_key() -> str:
    """Make a random key of 256 bits."""
    return secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """Hash a key: `sha256:` and 64 hex digits."""
    # keys are random: a slow hash, as for passwords, would add nothing
    return _PREFIX + hashlib.sha256(key.encode()).hexdigest()


def read_key(text: str) -> str:
    """Hash a key, unless it is a hash already.

    Raises
    ------
    ValueError
        The key is too short, or the hash is invalid; the message shows nothing of either.
    """
    if text.lower().startswith(_PREFIX):
        if not _HASH.fullmatch(text.lower()):
            raise ValueError(f"what follows {_PREFIX} must be 64 hex digits; make one: {_MAKE}")
        return text.lower()
    if len(text) < MIN_CHARACTERS:
        raise ValueError(f"a key has at least {MIN_CHARACTERS} characters; make one: {_MAKE}")
    return hash_key(text)


def digest_of(hashed: str) -> bytes:
    """The 32 bytes of a hash."""
    return bytes.fromhex(hashed.removeprefix(_PREFIX))


def name_of(hashed: str) -> str:
    """The name of a key in logs and rate limits: the first 8 hex digits of its hash."""
    return hashed.removeprefix(_PREFIX)[:8]


_MAKE = "lrpserve key"
