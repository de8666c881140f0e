"""Requests: body, options, image, and the accepted format."""
