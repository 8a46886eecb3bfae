"""Is everything there that exports and imports need, step by step; and what a live account really does."""
