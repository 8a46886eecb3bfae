"""The benchmark of the webhook receiver and the door of audience events; see `docs/benchmarks.md`."""
