"""Imports: from another system's resources to events, over any Source."""
