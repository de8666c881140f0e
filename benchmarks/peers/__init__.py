"""Peers: the servers that the service is compared with."""
