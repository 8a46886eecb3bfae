"""The parts of a URL, read as Go's `net/url.Parse` reads them, and what is made of them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes, urlencode

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_HOST: Final = re.compile(r"[^A-Za-z0-9!$&'()*+,;=:\[\]<>\"._~%\x80-\U0010ffff-]|%(?!25)[0-7]")
"""In a host only bytes beyond ASCII, and the `%` before a zone, may be escaped."""
_USER: Final = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
SHORTEST_HOST_BYTES: Final = 8
_PORT: Final = re.compile(r"(?::[0-9]*)?")


class Url(NamedTuple):
    """The parts of a URL: host and path percent-decoded, the query as it is written."""

    scheme: str
    host: str
    path: str
    query: str


def parse_url(text: str) -> Url | None:
    """Return the parts of a URL, or None if the text is empty or no URL.

    User and fragment are dropped; port, letter case and a trailing slash are kept; what is not UTF-8
    when decoded has U+FFFD. Text without a scheme is a path. An opaque URL (`mailto:a@b.c`) has neither
    host nor path.
    """
    if not text or _CONTROL.search(text):
        return None
    rest, _, fragment = text.partition("#")
    if _BAD_ESCAPE.search(fragment) or rest.startswith(":"):
        return None
    scheme = _SCHEME.match(rest)
    name = scheme[1].lower() if scheme else ""
    rest, _, query = (rest[scheme.end() :] if scheme else rest).partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(name, "", "", query)
        if ":" in rest.partition("/")[0]:
            return None
    host: str | None = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    if host is None or _BAD_ESCAPE.search(rest):
        return None
    return Url(name, host, _decoded(rest), query)


def urlmain(text: str) -> str | None:
    """Return host and path of a URL as `parse_url` reads them, or None; "" for an opaque URL."""
    url = parse_url(text)
    return None if url is None else url.host + url.path


def host(text: str) -> str | None:
    """Return the host (with port) of a URL in lower case, with or without `http://`, or None."""
    if len(text.encode()) < SHORTEST_HOST_BYTES:
        return None
    url = parse_url(_with_scheme(text.lower()))
    return url.host if url and url.host else None


def domain(text: str) -> str | None:
    """Return the last two labels of a URL's host in lower case, or None."""
    url = parse_url(_with_scheme(text.lower()))
    if url is None or len(url.host) <= 2:
        return None
    return ".".join(url.host.split(".")[-2:])


def path(text: str) -> str | None:
    """Return the path of a URL in lower case, or None."""
    url = parse_url(_as_page(text.lower()))
    return url.path if url and url.path else None


def query_value(text: str, name: str) -> str | None:
    """Return the first value of a URL's query parameter, or None if it has none or an empty one."""
    url = parse_url(_as_page(text))
    values = () if url is None else (value for key, value in _query(url.query) if key == name)
    return next(iter(values), None) or None


def without_query(text: str, name: str) -> str | None:
    """Return the URL without one query parameter, the others then sorted by name; None for no URL."""
    url = parse_url(_as_page(text))
    if url is None:
        return None
    pairs = _query(url.query)
    page = f"{url.scheme}://{url.host}{url.path}"
    if all(key != name for key, _ in pairs):
        return f"{page}?{url.query}"
    kept = urlencode(sorted((pair for pair in pairs if pair[0] != name), key=lambda pair: pair[0]))
    return f"{page}?{kept}" if kept else page


def _with_scheme(text: str) -> str:
    return text if text.startswith("http") else f"http://{text}"


def _as_page(text: str) -> str:
    """Text that begins like a host gets a scheme; what begins like a path doesn't."""
    return _with_scheme(text) if len(text) > 6 and "/" not in text[:5] else text


def _query(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part and ";" not in part)
    return [
        (unquote_plus(key, errors="replace"), unquote_plus(value, errors="replace"))
        for key, _, value in pairs
        if not _BAD_ESCAPE.search(key) and not _BAD_ESCAPE.search(value)
    ]


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
