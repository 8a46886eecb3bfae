"""E-mail addresses as the mapping language reads them.

The accepted form is that of Go's `net/mail.ParseAddress`, which the language's `email()` is defined by:
one RFC 5322 mailbox, with or without a display name, with comments, dots and characters beyond ASCII;
only groups (`friends: a@b.c;`) are refused.
"""

from __future__ import annotations

import re
from typing import Final

MAX_ADDRESS_BYTES: Final = 256
"""Identifiers longer than this are not taken (the limit of the language's own profiles)."""

_ASCII_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
PLAIN_ADDRESS: Final = rf"^{_ASCII_ATEXT}+(?:\.{_ASCII_ATEXT}+)*@{_ASCII_ATEXT}+(?:\.{_ASCII_ATEXT}+)*$"
"""Matches the addresses that mean themselves: ASCII, no name, no quotes, no spaces around."""

_PLAIN: Final = re.compile(PLAIN_ADDRESS)
_COMMENT: Final = "\0"
_CFWS: Final = f"[ \t{_COMMENT}]*+"
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\ud7ff\ue000-\U0010ffff-]"
_ATOM: Final = rf"{_ATEXT}++(?:\.{_ATEXT}++)*+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]|\\[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff])*+"'
_LITERAL: Final = r"\[[!-Z^-~]*+\]"
_SPEC: Final = rf"[ \t]*+({_ATOM}|{_QUOTED})@[ \t]*+({_ATOM}|{_LITERAL})"
_PHRASE: Final = rf"(?:(?:{_ATEXT}|\.)++|{_QUOTED}|[ \t{_COMMENT}]++)++"
_BARE: Final = re.compile(rf"{_SPEC}{_CFWS}")
_NAMED: Final = re.compile(rf"[ \t]*+(?!{_COMMENT})(?:{_PHRASE})?<{_SPEC}>{_CFWS}")
_QUOTED_OR_PARENTHESIS: Final = re.compile(rf"{_QUOTED}|[()]|\\.", re.DOTALL)


def email(text: str) -> str | None:
    """Return the address that the text holds, in lower case, or None if it holds no single address.

    `Bob <Bob@Bob.com>` is `bob@bob.com`; a quoted local part loses its quotes. An address of more than
    `MAX_ADDRESS_BYTES` bytes of UTF-8 is None.
    """
    if _PLAIN.fullmatch(text):
        return text.lower() if len(text) <= MAX_ADDRESS_BYTES else None
    return _parsed(text)


def _parsed(text: str) -> str | None:
    marked = _mark_comments(text)
    match = None if marked is None else _BARE.fullmatch(marked) or _NAMED.fullmatch(marked)
    if match is None:
        return None
    local, domain = match.groups()
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    if not local:
        return None
    address = _lower(f"{local}@{domain}")
    return address if len(address.encode()) <= MAX_ADDRESS_BYTES else None


def email_domain(text: str) -> str | None:
    """Return what follows the first `@` of the address that the text holds, in lower case, or None."""
    address = email(text)
    return None if address is None else address.split("@", 1)[1]


def _mark_comments(text: str) -> str | None:
    """Put one NUL in place of each comment; None if the text has a NUL or parentheses don't match."""
    if _COMMENT in text:
        return None
    if "(" not in text and ")" not in text:
        return text
    kept: list[str] = []
    depth = position = 0
    for match in _QUOTED_OR_PARENTHESIS.finditer(text):
        if match[0] not in "()":
            continue
        if depth == 0:
            kept.append(text[position : match.start()])
        depth += 1 if match[0] == "(" else -1
        if depth < 0:
            return None
        if depth == 0:
            kept.append(_COMMENT)
        position = match.end()
    return None if depth else "".join(kept) + text[position:]


def _lower(text: str) -> str:
    """Lower each character by itself, as Go does: no final sigma, and a dotted capital I becomes an i."""
    if text.isascii():
        return text.lower()
    return "".join("i" if character == "İ" else character.lower() for character in text)
