"""Polars by hand, as somebody who knows it well would write this one report.

The tricks: text that repeats (keys, ids, names, URLs) is categorical, so that grouping is by small
numbers; one `group_by` makes all scalars and sets; each map is counted by (person, value) first and put
together in a second `group_by`; the URL function runs once for each distinct URL; of the latest values
only those at a person's greatest time are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from bench.aggregation.engines import READ
from bench.aggregation.engines.python_engine import COUNTED, LATEST, SETS, hashed_page

HOUR_MS: Final = 3_600_000
_AT: Final = pl.col("_time")
_WORD: Final = pl.col("event")
_MAPS: Final = ("cm_email_event", "hashedurls", "cm_hourlyopen", "cm_hourofweek", "cm_monthly")
_NUMBERS: Final = frozenset(("_time", "_received"))


def _from_columns(path: Path) -> pl.DataFrame:
    return _report(pl.scan_parquet(path).select(READ))


def _from_lines(path: Path) -> pl.DataFrame:
    schema = {name: pl.Int64() if name in _NUMBERS else pl.String() for name in (*READ, "email")}
    return _report(
        pl.scan_ndjson(path, schema=schema).with_columns(pl.coalesce("_key", "email").alias("_key"))
    )


def _report(source: pl.LazyFrame) -> pl.DataFrame:
    events = source.with_columns(pl.col("_key", *SETS.values()).cast(pl.Categorical)).collect()
    lazy = events.lazy()
    parts = pl.collect_all(
        [
            _scalars_and_sets(lazy),
            *(_latest(lazy, name, source) for name, source in LATEST.items()),
            *(_counted(lazy, name, key) for name, key in _map_keys(events).items()),
        ]
    )
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.join(part, on="_key", how="left")
    return whole


def _scalars_and_sets(events: pl.LazyFrame) -> pl.LazyFrame:
    active = (
        _WORD.is_in(["open", "click", "subscribe"])
        & _WORD.is_not_null()
        & pl.col("origin").ne_missing("self")
    )
    left = (_WORD == "deactivate") & (pl.col("status") == "unsubscribe")
    marked = events.with_columns(
        *((pl.col("event") == word).alias(name) for word, name in COUNTED.items()),
        opened=pl.when(_WORD == "open").then(_AT),
        clicked=pl.when(_WORD == "click").then(_AT),
        active=pl.when(active).then(_AT),
        left=pl.when(left).then(_AT),
    )
    return (
        marked.group_by("_key")
        .agg(
            pl.col(*COUNTED.values()).sum(),
            pl.col("clicked").min().alias("cm_firstclick_ts"),
            pl.col("clicked").max().alias("cm_lastclick_ts"),
            pl.col("opened").min().alias("cm_firstopen_ts"),
            pl.col("opened").max().alias("cm_lastopen_ts"),
            pl.col("left").max().alias("cm_unsub_ts"),
            pl.col("active").max().alias("last_active_ts"),
            *(pl.col(source).drop_nulls().unique().alias(name) for name, source in SETS.items()),
        )
        .with_columns(
            email=pl.col("_key").cast(pl.String),
            email_domain=pl.col("_key").cast(pl.String).str.split_exact("@", 1).struct[1],
            channels=pl.when(pl.col("last_active_ts").is_not_null()).then(pl.lit(["email"])),
        )
    )


def _latest(events: pl.LazyFrame, name: str, source: str) -> pl.LazyFrame:
    known = events.select("_key", "_time", "_received", pl.col(source).alias(name)).drop_nulls(name)
    newest = known.filter(pl.col("_time") == _AT.max().over("_key"))
    return newest.sort("_received", name).unique("_key", keep="last").select("_key", name)


def _map_keys(events: pl.DataFrame) -> dict[str, pl.Expr]:
    """By map what it counts; null where the event adds nothing."""
    opened, touched = _WORD == "open", _WORD.is_in(["open", "click"])
    urls = events["url"].drop_nulls().unique()
    hashes = pl.Series([hashed_page(url) for url in urls.cast(pl.String)], dtype=pl.String)
    hashed = pl.col("url").replace_strict(urls, hashes, default=None, return_dtype=pl.String)
    keys = (
        _WORD,
        pl.when(touched).then(hashed),
        pl.when(opened).then(_AT // HOUR_MS % 24),
        pl.when(opened).then((_AT // HOUR_MS + 96) % 168),
        pl.when(opened).then(pl.from_epoch(_AT, time_unit="ms").dt.strftime("%y%m")),
    )
    return dict(zip(_MAPS, keys, strict=True))


def _counted(events: pl.LazyFrame, name: str, key: pl.Expr) -> pl.LazyFrame:
    counts = events.select("_key", key.alias("key")).drop_nulls("key").group_by("_key", "key").len("count")
    return counts.group_by("_key").agg(pl.struct(pl.col("key").cast(pl.String), "count").alias(name))


def people(result: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in result.iter_rows(named=True):
        key = row.pop("_key")
        for name in _MAPS:
            row[name] = {entry["key"]: entry["count"] for entry in row[name] or ()}
        yield key, row


RUNS: Final = {"columns": _from_columns, "json": _from_lines}
