"""`GET /docs`: the OpenAPI document as a page that works offline."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse

from service.api.routes.static_files import CompressedFiles

HEADERS = {  # no other page may frame it
    "Content-Security-Policy": "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ASSETS = "swagger"  # all addresses are relative, so that they hold behind any proxy and prefix


def add_docs(app: FastAPI) -> None:
    """Add `/docs` and its files."""
    assets = CompressedFiles(packages=[("fastapi_swagger", "resources")])
    app.mount(f"/{_ASSETS}", assets, name=_ASSETS)
    app.include_router(_make_router(app.title))


def _make_router(title: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        up = "../" if request.scope.get("raw_path", b"").endswith(b"/") else ""
        page = get_swagger_ui_html(
            openapi_url=f"{up}openapi.json",
            title=title,
            swagger_js_url=f"{up}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{up}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{up}{_ASSETS}/favicon-32x32.png",
            swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
        )
        page.headers.update(HEADERS)
        return page

    return router
