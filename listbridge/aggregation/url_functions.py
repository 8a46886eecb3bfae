"""Functions of URLs, as in qlbridge `expr/builtins/url_email.go`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from listbridge.aggregation import urls
from listbridge.aggregation.distinct import on_distinct, on_distinct_pairs
from listbridge.aggregation.signatures import TEXT, Function, Parameter, of_text
from listbridge.aggregation.values import Value, as_text

_urlmain: Final = on_distinct(urls.urlmain, pl.String)


def _of_parameter(function: Callable[[str, str], str | None]) -> Callable[[Sequence[Value]], Value]:
    def built(arguments: Sequence[Value]) -> Value:
        return Value(on_distinct_pairs(function, pl.String, *map(as_text, arguments)), "string")

    return built


_URL: Final = Parameter("url", TEXT)

URL_FUNCTIONS: Final[dict[str, Function]] = {
    "urlmain": of_text(
        lambda url: _urlmain(url).replace("", None),
        "Host and path: without scheme, user, query and fragment.",
        ('urlmain("http://www.Google.com/search?q1=golang&q2=github")', "www.Google.com/search"),
        ('urlmain("mailto:bob@bob.com")', None),
        types=TEXT,
        name="url",
    ),
    "host": of_text(
        on_distinct(urls.host, pl.String),
        "The host in lower case, with the port.",
        ('host("https://www.Google.com/search?q=golang")', "www.google.com"),
        ('host("www.Google.com/?q=golang")', "www.google.com"),
        types=TEXT,
        name="url",
    ),
    "domain": of_text(
        on_distinct(urls.domain, pl.String),
        "The last two labels of the host, in lower case.",
        ('domain("https://www.Google.com/search?q=golang")', "google.com"),
        types=TEXT,
        name="url",
    ),
    "path": of_text(
        on_distinct(urls.path, pl.String),
        "The path, decoded and in lower case.",
        ('path("https://www.Google.com/blog/Hello.html")', "/blog/hello.html"),
        ('path("www.Google.com/?q=golang")', "/"),
        ('path("/home/aaron/vm")', "/home/aaron/vm"),
        types=TEXT,
        name="url",
    ),
    "qs": Function(
        (_URL, Parameter("name")),
        _of_parameter(urls.query_value),
        "The value of one parameter of the query.",
        (
            ('qs("https://www.Google.com/search?q=golang", "q")', "golang"),
            ('qs("www.Google.com/?q=a+b%21", "q")', "a b!"),
            ('qs("www.Google.com/?q=golang", "p")', None),
        ),
    ),
    "urlminusqs": Function(
        (_URL, Parameter("name")),
        _of_parameter(urls.without_query),
        "The URL without one parameter of its query; the others are sorted by name then.",
        (
            (
                'urlminusqs("http://www.Google.com/search?q1=a&q2=b", "q1")',
                "http://www.Google.com/search?q2=b",
            ),
            (
                'urlminusqs("http://www.Google.com/search?q1=a&q2=b", "q3")',
                "http://www.Google.com/search?q1=a&q2=b",
            ),
            ('urlminusqs("http://www.Google.com/search?q1=golang", "q1")', "http://www.Google.com/search"),
        ),
    ),
}
