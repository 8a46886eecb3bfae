"""Functions of time, as in qlbridge `expr/builtins/time.go`; all times are UTC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from listbridge.aggregation.distinct import on_distinct
from listbridge.aggregation.signatures import BadArgumentError, Function, Parameter
from listbridge.aggregation.times import is_layout, parse_layout, parse_time, zone_named
from listbridge.aggregation.values import Type, Value, as_text, as_time

HOUR_MS: Final = 3_600_000
HOURS_BEFORE_EPOCH_IN_WEEK: Final = 4 * 24
"""1970-01-01 was a Thursday; weeks start on Sunday at 0:00 UTC."""


def _of_time(
    build: Callable[[pl.Expr], pl.Expr], meaning: str, *examples: tuple[str, Any], returns: Type = "int"
) -> Function:
    """A function of the event's own time, or of the time that its argument names."""

    def built(arguments: Sequence[Value]) -> Value:
        return Value(build(as_time(arguments[0]) if arguments else pl.col("_time")), returns)

    return Function((Parameter("time"),), built, meaning, examples, optional=1)


def _hours_into_week(time: pl.Expr) -> pl.Expr:
    return (time // HOUR_MS + HOURS_BEFORE_EPOCH_IN_WEEK) % 168


def _formatted(format_: str) -> Callable[[pl.Expr], pl.Expr]:
    return lambda time: pl.from_epoch(time, time_unit="ms").dt.strftime(format_)


def _two_digit_year(time: pl.Expr) -> pl.Expr:
    year = pl.from_epoch(time, time_unit="ms").dt.year().cast(pl.Int64)
    return pl.when(year >= 2000).then(year - 2000).when(year >= 1900).then(year - 1900).otherwise(year)


def _todate(arguments: Sequence[Value]) -> Value:
    if len(arguments) == 1:
        return Value(as_time(arguments[0]), "time")
    layout = str(arguments[0].literal)
    if arguments[0].literal is None or not layout:
        raise BadArgumentError(0, "a layout that isn't written out", 'one such as "02/01/2006"')
    if not is_layout(layout):
        raise BadArgumentError(0, f'the layout "{layout}"', 'one that names each part once, as "02/01/2006"')
    return Value(
        on_distinct(lambda text: parse_layout(layout, text), pl.Int64)(as_text(arguments[1])), "time"
    )


def _todatein(arguments: Sequence[Value]) -> Value:
    zone = zone_named(str(arguments[1].literal))
    if zone is None:
        raise BadArgumentError(1, f'the zone "{arguments[1].literal}"', 'one such as "America/Los_Angeles"')
    read = on_distinct(lambda text: parse_time(text, zone), pl.Int64)
    return Value(read(as_text(arguments[0])), "time")


TIME_FUNCTIONS: Final[dict[str, Function]] = {
    "epochms": _of_time(
        lambda time: time,
        "Epoch milliseconds.",
        ("epochms()", 1396889935000),
        ('epochms("Apr 7, 2014 4:58:55 PM")', 1396889935000),
    ),
    "hourofday": _of_time(
        lambda time: time // HOUR_MS % 24,
        "The hour, 0 to 23.",
        ("hourofday()", 16),
        ('hourofday("Apr 7, 2014 4:58:55 PM")', 16),
    ),
    "hourofweek": _of_time(
        _hours_into_week,
        "The hour of the week, 0 to 167, from Sunday at 0:00.",
        ("hourofweek()", 40),
        ('hourofweek("2024-11-15T00:00:00Z")', 120),
    ),
    "dayofweek": _of_time(
        lambda time: _hours_into_week(time) // 24,
        "The day of the week, 0 to 6, from Sunday.",
        ("dayofweek()", 1),
        ('dayofweek("2016/07/04")', 1),
    ),
    "mm": _of_time(
        lambda time: pl.from_epoch(time, time_unit="ms").dt.month().cast(pl.Int64),
        "The month, 1 to 12.",
        ("mm()", 4),
        ('mm("10/13/2014")', 10),
        ('mm("13/10/2014")', None),
    ),
    "yy": _of_time(
        _two_digit_year, "The last two digits of the year.", ("yy()", 14), ('yy("01/02/2006")', 6)
    ),
    "yymm": _of_time(
        _formatted("%y%m"),
        "The year and the month in two digits each, as text.",
        ("yymm()", "1404"),
        ('yymm("10/13/2014")', "1410"),
        ('yymm("01/02/2006")', "0601"),
        ('yymm("soon")', None),
        returns="string",
    ),
    "todate": Function(
        (Parameter("layout"), Parameter("time")),
        _todate,
        "The time that the text names, UTC if it names no zone, the month first in figures; or, with a"
        " layout before it that writes 2 January 2006, 15:04:05 in figures, as the layout says.",
        (
            ('todate("Apr 7, 2014 4:58:55 PM")', 1396889935000),
            ('todate("4/7/14")', 1396828800000),
            ('todate("1396889935")', 1396889935000),
            ('todate("02/01/2006", "07/04/2014")', 1396828800000),
            ('todate("later")', None),
        ),
        optional=1,
        shown="[layout, ]time",
    ),
    "todatein": Function(
        (Parameter("time"), Parameter("zone", ("string",), constant=True)),
        _todatein,
        "The time that the text names, in the zone if it names none.",
        (
            ('todatein("Apr 7, 2014 9:58:55 AM", "America/Los_Angeles")', 1396889935000),
            ('todatein("2014-04-07T16:58:55Z", "America/Los_Angeles")', 1396889935000),
        ),
    ),
}
