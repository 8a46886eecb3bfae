"""Erasing a person: where they are, taking them out everywhere, and what is known of them as one document."""
