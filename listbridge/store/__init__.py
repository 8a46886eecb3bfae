"""The one store: a Redis or Valkey server, ours or the user's."""
