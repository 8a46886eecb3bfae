"""The Celery side: an app and tasks that call the domain, nothing more."""
