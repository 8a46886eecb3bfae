"""Plain Python inside Polars expressions, run once for each distinct value or combination of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

DType = pl.DataType | type[pl.DataType]


def on_distinct(function: Callable[[Any], Any], dtype: DType) -> Callable[[pl.Expr], pl.Expr]:
    """Make `function` of one value, never null, one of expressions; null stays null."""

    def apply(values: pl.Series) -> pl.Series:
        distinct = values.drop_nulls().unique()
        if distinct.is_empty():
            return pl.Series(values.name, [None], dtype).new_from_index(0, len(values))
        results = pl.Series([function(value) for value in distinct.to_list()], dtype=dtype)
        return values.replace_strict(distinct, results, default=None, return_dtype=dtype)

    return lambda values: values.map_batches(apply, return_dtype=dtype, is_elementwise=True)


def on_distinct_pairs(function: Callable[..., Any], dtype: DType, *values: pl.Expr) -> pl.Expr:
    """`function` of several values at a time; null where one of them is."""
    names = [f"a{index}" for index in range(len(values))]

    def apply(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest()
        distinct = frame.drop_nulls().unique()
        results = pl.Series("result", [function(*row) for row in distinct.rows()], dtype=dtype)
        joined = frame.join(distinct.with_columns(results), on=names, how="left", maintain_order="left")
        return joined["result"].alias(rows.name)

    named = [value.alias(name) for value, name in zip(values, names, strict=True)]
    return pl.struct(named).map_batches(apply, return_dtype=dtype, is_elementwise=True)
