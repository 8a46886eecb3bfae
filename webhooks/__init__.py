"""The HTTP side: receivers of what comes in, and the API. It calls the domain, nothing more."""
