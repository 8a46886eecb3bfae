"""The aggregation benchmark: our engine beside its peers, and through the store."""
