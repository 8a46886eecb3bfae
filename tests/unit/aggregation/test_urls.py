import pytest

from listbridge.aggregation.urls import urlmain

PAGES = [
    ("http://www.Google.com/search?q1=golang&q2=x", "www.Google.com/search"),
    ("www.Google.com/?q=golang", "www.Google.com/"),
    ("http://www.lytics.io/?utm_source=google", "www.lytics.io/"),
    ("https://example.com", "example.com"),
    ("https://example.com/", "example.com/"),
    ("https://user:pass@example.com:8080/a/b?x#y", "example.com:8080/a/b"),
    ("https://example.com:/a", "example.com:/a"),
    ("HTTPS://Example.COM/A", "Example.COM/A"),
    ("https://example.com/a%20b%2Fc", "example.com/a b/c"),
    ("https://example.com/%C3%A9", "example.com/é"),
    ("https://example.com/%FF", "example.com/\ufffd"),
    ("https://example.com/a b", "example.com/a b"),
    ("https://example.com?q=%zz", "example.com"),
    ("https://example.com/a#b%20c", "example.com/a"),
    ("//example.com/a", "example.com/a"),
    ("///a/b", "///a/b"),
    ("/a/b?c", "/a/b"),
    ("http:///a", "/a"),
    ("http:/a", "/a"),
    ("mailto:bob@bob.com", ""),
    ("https://[::1]:80/a", "[::1]:80/a"),
    ("https://[fe80::1%25en0]/a", "[fe80::1%en0]/a"),
    ("https://ex%C3%A9.com/", "exé.com/"),
    ("a/b:c", "a/b:c"),
    ("?q", ""),
]

NO_PAGES = [
    "",
    "http://%2www.google.com/?q=golang",
    "http://%41.com/",
    "http://exa mple.com/",
    "http://example.com:port/",
    "http://[::1/a",
    "http://[::1]x/",
    "http://a^b@example.com/",
    "http://example.com/%zz",
    "http://example.com/%a",
    "http://example.com/#%zz",
    "http://example.com/\n",
    "\x7f",
    ":foo",
    "1a:b",
]


@pytest.mark.parametrize(("url", "page"), PAGES)
def test_a_page_is_host_and_decoded_path(url, page):
    assert urlmain(url) == page


@pytest.mark.parametrize("url", NO_PAGES)
def test_what_is_no_url_has_no_page(url):
    assert urlmain(url) is None
