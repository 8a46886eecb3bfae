"""The reference is complete, and the one in the docs is the one that the code makes."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from listbridge.aggregation import MappingError, compile_program, parse
from listbridge.aggregation.columns import MERGE_OPERATIONS
from listbridge.aggregation.expressions import AGGREGATES
from listbridge.aggregation.functions import FUNCTIONS
from listbridge.aggregation.kinds import KINDS
from listbridge.aggregation.reference import _AGGREGATES, _MERGE_MEANINGS, merge_words, reference

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_in_the_docs_is_up_to_date():
    assert (DOCS / "mapping.md").read_text(encoding="utf-8") == reference()


VALUES = {
    "string": "city",
    "int": "toint(city)",
    "number": "latitude",
    "bool": "tobool(city)",
    "date": "todate(city)",
    "intsum": "toint(city)",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_kind_takes_the_merge_operations_of_the_reference_and_no_others(kind):
    value = VALUES[kind.element]
    shape = {"scalar": "{}", "map": "map(cc, {})"}.get(kind.container, "set({})")
    cap = "" if kind.container == "scalar" else "CAP 2"
    for word in MERGE_OPERATIONS[kind.container]:
        column = f"{shape.format(value)} AS x KIND {kind.name} MERGEOP {word} {cap}"
        mapping = parse(f"SELECT {column}, email FROM cm_activity INTO user BY email")
        with nullcontext() if word in merge_words(kind) else pytest.raises(MappingError):
            compile_program([mapping])


def test_everything_of_the_language_is_in_the_reference():
    text = reference()
    assert all(f"`{function.signature(name)}`" in text for name, function in FUNCTIONS.items())
    assert all(f"`{kind}`" in text for kind in KINDS)
    assert set(_MERGE_MEANINGS) == {word for words in MERGE_OPERATIONS.values() for word in words}
    assert all(f"{name}(" in " ".join(row[0] for row in _AGGREGATES) for name in AGGREGATES)
