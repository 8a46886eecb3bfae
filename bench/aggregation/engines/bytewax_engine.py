"""Bytewax: a dataflow that decodes, keys by person, and keeps a state for each person until the end.

Decoding and the state are those of the hand-tuned Python peer, so that what differs is the engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import bytewax.operators as op
import msgspec
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, run_main

from bench.aggregation.engines.msgspec_engine import Event, Person, rows

BATCH: Final = 1000
Result = list[tuple[str, dict[str, Any]]]

_decode: Final = msgspec.json.Decoder(Event).decode


class _Folding(StatefulBatchLogic[Event, Person, Person]):
    """One person's state: events are added to it, and it is emitted at the end of the input."""

    def __init__(self, person: Person) -> None:
        self._person = person

    def on_batch(self, values: list[Event]) -> tuple[Iterable[Person], bool]:
        for event in values:
            self._person.add(event)
        return (), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Person], bool]:
        return (self._person,), StatefulBatchLogic.DISCARD

    def snapshot(self) -> Person:
        return self._person


def _from_columns(path: Path) -> Result:
    flow = Dataflow("columns")
    return _run(flow, op.input("rows", flow, TestingSource(rows(path), batch_size=BATCH)))


def _from_lines(path: Path) -> Result:
    flow = Dataflow("lines")
    lines = op.input("lines", flow, FileSource(path, batch_size=BATCH))
    return _run(flow, op.flat_map_batch("decode", lines, lambda batch: [_decode(line) for line in batch]))


def _run(flow: Dataflow, events: Stream[Event]) -> Result:
    keyed: KeyedStream[Event] = op.key_on("person", events, lambda event: event.key or event.email or "")
    folded = op.stateful_batch("fold", keyed, lambda held: _Folding(held or Person()))
    shown = op.map("show", folded, lambda pair: (pair[0], pair[1].fields(pair[0])))
    result: Result = []
    op.output("collect", shown, TestingSink(result))
    run_main(flow)
    return result


def people(result: Result) -> Iterable[tuple[str, dict[str, Any]]]:
    return result


RUNS: Final = {"columns": _from_columns, "json": _from_lines}
