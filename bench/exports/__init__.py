"""The benchmark of exports against the simulator; see `docs/benchmarks.md`."""
