"""What the store holds for each person and event, and what a cluster does beside one server."""
