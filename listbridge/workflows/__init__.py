"""Workflows: what a user has asked to be kept in step, its state, its progress and its log."""
