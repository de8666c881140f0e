"""Pure ASGI middlewares, and the context that they give to a request."""
