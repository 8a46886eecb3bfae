"""The language's functions of one event, as Polars expressions.

What Polars can't express itself runs as plain Python on the distinct values of a column.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import polars as pl
import siphash24

from listbridge.aggregation.addresses import MAX_ADDRESS_BYTES, PLAIN_ADDRESS, email, email_domain
from listbridge.aggregation.conditions import equals
from listbridge.aggregation.urls import urlmain
from listbridge.aggregation.values import Type, Value

__all__ = ["FUNCTIONS", "Function", "email", "email_domain", "hash_sip", "urlmain"]

HASH_KEY: Final = struct.pack("<QQ", 0, 1)
HOUR_MS: Final = 3_600_000
HOURS_BEFORE_EPOCH_IN_WEEK: Final = 4 * 24
"""1970-01-01 was a Thursday; weeks start on Sunday at 0:00 UTC."""


def hash_sip(text: str) -> int:
    """Return SipHash-2-4 of the text's UTF-8 bytes under the key (0, 1), as a signed 64-bit integer.

    The same number as `hash` and `hash.sip` have in qlbridge, `expr/builtins/hash_and_encode.go`.
    """
    digest = siphash24.siphash24(text.encode(), key=HASH_KEY).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True)
class Function:
    """A function of the language: what it takes and the expression it makes.

    `parameters` names one type, or None for any that compares, for each argument.
    """

    parameters: tuple[Type | None, ...]
    returns: Type
    build: Callable[[Sequence[Value]], pl.Expr]


def _on_distinct(
    function: Callable[[str], str | int | None], dtype: type[pl.DataType]
) -> Callable[[pl.Expr], pl.Expr]:
    def apply(values: pl.Series) -> pl.Series:
        distinct = values.drop_nulls().unique()
        if distinct.is_empty():
            return pl.Series(values.name, [None], dtype).new_from_index(0, len(values))
        results = pl.Series([function(value) for value in distinct.to_list()], dtype=dtype)
        return values.replace_strict(distinct, results, default=None, return_dtype=dtype)

    return lambda text: text.map_batches(apply, return_dtype=dtype, is_elementwise=True)


_email: Final = _on_distinct(email, pl.String)
_email_domain: Final = _on_distinct(email_domain, pl.String)
_urlmain: Final = _on_distinct(urlmain, pl.String)
_hash: Final = _on_distinct(hash_sip, pl.Int64)


def _is_plain(address: pl.Expr) -> pl.Expr:
    return address.str.contains(PLAIN_ADDRESS) & (address.str.len_bytes() <= MAX_ADDRESS_BYTES)


def _emails(text: pl.Expr) -> pl.Expr:
    plain = _is_plain(text)
    return pl.when(plain).then(text.str.to_lowercase()).otherwise(_email(pl.when(~plain).then(text)))


def _email_domains(text: pl.Expr) -> pl.Expr:
    plain = _is_plain(text)
    domain = text.str.to_lowercase().str.extract("@(.*)$")
    return pl.when(plain).then(domain).otherwise(_email_domain(pl.when(~plain).then(text)))


_HOURS: Final = pl.col("_time") // HOUR_MS


def _of_text(build: Callable[[pl.Expr], pl.Expr], returns: Type = "string") -> Function:
    return Function(("string",), returns, lambda arguments: build(arguments[0].expr))


def _of_time(expr: pl.Expr, returns: Type = "int") -> Function:
    return Function((), returns, lambda _arguments: expr)


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "email": _of_text(_emails),
        "emaildomain": _of_text(_email_domains),
        "urlmain": _of_text(lambda text: _urlmain(text).replace("", None)),
        "hash": _of_text(_hash, "int"),
        "epochms": _of_time(pl.col("_time")),
        "hourofday": _of_time(_HOURS % 24),
        "hourofweek": _of_time((_HOURS + HOURS_BEFORE_EPOCH_IN_WEEK) % 168),
        "yymm": _of_time(pl.from_epoch("_time", time_unit="ms").dt.strftime("%y%m"), "string"),
        "eq": Function((None, None), "bool", lambda arguments: equals(arguments[0], arguments[1])),
    }
)
"""The functions by name. Times are those of the event, in UTC; all behave as in qlbridge `expr/builtins`."""
