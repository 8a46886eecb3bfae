"""Hashes of text, as in qlbridge `expr/builtins/hash_and_encode.go`."""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Final

import polars as pl
import siphash24

from listbridge.aggregation.distinct import on_distinct
from listbridge.aggregation.signatures import TEXT, Function, of_text

HASH_KEY: Final = struct.pack("<QQ", 0, 1)


def hash_sip(text: str) -> int:
    """Return SipHash-2-4 of the text's UTF-8 bytes under the key (0, 1), as a signed 64-bit integer."""
    digest = siphash24.siphash24(text.encode(), key=HASH_KEY).digest()
    return int.from_bytes(digest, "little", signed=True)


def _hexadecimal(algorithm: str, name: str, *examples: tuple[str, Any]) -> Function:
    def digest(text: str) -> str:
        return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()

    meaning = f"{name} of the text's UTF-8 bytes, in lower-case hexadecimal."
    return of_text(on_distinct(digest, pl.String), meaning, *examples, types=TEXT)


HASH_FUNCTIONS: Final[dict[str, Function]] = {
    "hash": of_text(
        on_distinct(hash_sip, pl.Int64),
        "SipHash-2-4 of the text's UTF-8 bytes under the key (0, 1), a signed integer; also `hash.sip`.",
        ('hash("This is a string being used as an example")', -1913777820508603599),
        ('hash.sip("http://go.gl")', 4903078846009498015),
        returns="int",
        types=TEXT,
    ),
    "hash.md5": _hexadecimal("md5", "MD5", ('hash.md5("hello")', "5d41402abc4b2a76b9719d911017c592")),
    "hash.sha1": _hexadecimal(
        "sha1", "SHA-1", ('hash.sha1("hello")', "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")
    ),
    "hash.sha256": _hexadecimal(
        "sha256",
        "SHA-256",
        ('hash.sha256("hello")', "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ),
    "hash.sha512": _hexadecimal("sha512", "SHA-512", ("hash.sha512(city)", None)),
}
