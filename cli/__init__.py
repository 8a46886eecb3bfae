"""The `listbridge` command."""
