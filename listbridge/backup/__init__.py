"""Copies of the store, taken while it runs, and what has to happen before a copy may act again."""
