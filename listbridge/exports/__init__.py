"""Exports: from profiles to another system's lists, over any Destination."""
