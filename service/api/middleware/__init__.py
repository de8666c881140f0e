"""Middleware, as pure ASGI: request context, API keys, load shedding, CORS, compression."""
