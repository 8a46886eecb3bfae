"""The part of a URL that says which page it is, read as Go's `net/url.Parse` reads it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_HOST: Final = re.compile(r"[^A-Za-z0-9!$&'()*+,;=:\[\]<>\"._~%\x80-\U0010ffff-]|%(?!25)[0-7]")
"""In a host only bytes beyond ASCII, and the `%` before a zone, may be escaped."""
_USER: Final = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_PORT: Final = re.compile(r"(?::[0-9]*)?")


def urlmain(text: str) -> str | None:
    """Return host and path of a URL, or None if the text is empty or no URL.

    Scheme, user, query and fragment are dropped; port, letter case and a trailing slash are kept; the
    path is percent-decoded, with U+FFFD for what is not UTF-8 then. Text without a scheme is a path.
    An opaque URL (`mailto:a@b.c`) has neither host nor path: "".
    """
    if not text or _CONTROL.search(text):
        return None
    rest, _, fragment = text.partition("#")
    if _BAD_ESCAPE.search(fragment) or rest.startswith(":"):
        return None
    scheme = _SCHEME.match(rest)
    rest = (rest[scheme.end() :] if scheme else rest).partition("?")[0]
    if not rest.startswith("/"):
        if scheme:
            return ""
        if ":" in rest.partition("/")[0]:
            return None
    host: str | None = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    if host is None or _BAD_ESCAPE.search(rest):
        return None
    return host + _decoded(rest)


def _host(authority: str) -> str | None:
    user, _, host = authority.rpartition("@")
    if not _USER.fullmatch(user) or _BAD_ESCAPE.search(authority) or _BAD_HOST.search(host):
        return None
    bracket = host.rfind("]")
    if host.startswith("["):
        port = host[bracket + 1 :] if bracket >= 0 else "no port: the bracket is open"
    else:
        port = host[host.rfind(":") :] if ":" in host else ""
    return _decoded(host) if _PORT.fullmatch(port) else None


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text
