"""Profiles: what the folded events say of one person."""
