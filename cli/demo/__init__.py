"""The demonstration: everything that `up` runs, against the simulator, with a story and a reckoning."""
