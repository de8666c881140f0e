"""Request bodies of the benchmarks, all with the same image of 32 x 32."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PHOTO = Path(__file__).parent.parent / "docs" / "horse.jpg"
_BOUNDARY = "a-boundary-of-the-benchmark"


@dataclass(frozen=True)
class Payload:
    """A request's body and its content type."""

    content_type: str
    body: bytes


def sample() -> bytes:
    """The image, as PNG."""
    buffer = io.BytesIO()
    Image.open(PHOTO).convert("RGB").resize((32, 32)).save(buffer, "PNG")
    return buffer.getvalue()


def raw() -> Payload:
    """The image as the body."""
    return Payload("image/png", sample())


def as_json() -> Payload:
    """The image in base64."""
    body = json.dumps({"image": base64.b64encode(sample()).decode()})
    return Payload("application/json", body.encode())


def multipart(**options: str) -> Payload:
    """The image and options as a form."""
    fields = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in options.items()
    )
    head = (
        f"{fields}--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="image"; filename="i.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + sample() + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Payload(f"multipart/form-data; boundary={_BOUNDARY}", body)
