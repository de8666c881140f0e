"""FastAPI as in a tutorial: all work in the endpoint, one request after another."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from benchmarks.peers.tutorial import Tutorial


def make_app() -> FastAPI:
    """Make the application."""
    app, tutorial = FastAPI(), Tutorial()

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/explain")
    async def explain(request: Request) -> dict[str, Any]:
        if not request.headers["content-type"].startswith("multipart/"):
            return tutorial.explain(await request.body())
        async with request.form() as form:
            content: bytes = await form["image"].read()  # type: ignore[union-attr]
            return tutorial.explain(content, has_relevance="relevance" in str(form.get("output")))

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), port=int(sys.argv[1]), log_level="warning")
