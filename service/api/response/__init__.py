"""Responses: JSON, pictures, headers and problems."""
