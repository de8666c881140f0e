"""Servers that the service is measured beside, written for this."""
