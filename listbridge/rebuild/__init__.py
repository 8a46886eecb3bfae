"""Profiles made anew from all events: from the archive and what the streams hold beyond it."""
