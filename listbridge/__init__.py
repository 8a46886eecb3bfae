"""Listbridge: keeps audiences and a Campaign Monitor account in step, both ways."""

__version__ = "0.1.0"
