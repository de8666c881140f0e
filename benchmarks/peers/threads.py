"""The naive peer on FastAPI's thread pool, with a lock: zennit changes the network it explains."""

from __future__ import annotations

import sys
import threading
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI

from benchmarks.peers.tutorial import Tutorial


def make_app() -> FastAPI:
    """Make the application."""
    app, tutorial, lock = FastAPI(), Tutorial(), threading.Lock()

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/explain")
    def explain(content: Annotated[bytes, Body(media_type="image/png")]) -> dict[str, Any]:
        with lock:
            return tutorial.explain(content)

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), port=int(sys.argv[1]), log_level="warning")
