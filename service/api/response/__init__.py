"""A response: its JSON, its pictures, its headers, and its problems."""
