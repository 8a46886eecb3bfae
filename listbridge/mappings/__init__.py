"""The mappings that are active: where they come from, their versions in the store, what a change changes."""
