"""The streams: partitioned, deduplicated logs of what came in."""
