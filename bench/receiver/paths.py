"""Where the views to compare with are: an empty one of Flask, and one without Flask."""

from typing import Final

FLASK: Final = "/bench/flask"
WSGI: Final = "/bench/wsgi"
