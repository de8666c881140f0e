"""Print the OpenAPI document of the default settings: `python -m service.commands.openapi`."""

from __future__ import annotations

import json

import typer

from service.app import create_app
from service.settings import Settings


def main() -> None:
    """Print the document; the environment has no effect."""
    document = create_app(Settings.model_construct()).openapi()
    typer.echo(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
