"""Where the views to compare with are: empty, with a bare write, and empty without Flask."""

from typing import Final

FLASK: Final = "/bench/flask"
WRITE: Final = "/bench/write"
WSGI: Final = "/bench/wsgi"
