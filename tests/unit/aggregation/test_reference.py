"""The reference is complete, and the one in the docs is the one that the code makes."""

from pathlib import Path

from listbridge.aggregation.columns import MERGE_OPERATIONS
from listbridge.aggregation.expressions import AGGREGATES
from listbridge.aggregation.functions import FUNCTIONS
from listbridge.aggregation.kinds import KINDS
from listbridge.aggregation.reference import _AGGREGATES, _MERGE_MEANINGS, reference

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_in_the_docs_is_up_to_date():
    assert (DOCS / "mapping.md").read_text(encoding="utf-8") == reference()


def test_everything_of_the_language_is_in_the_reference():
    text = reference()
    assert all(f"`{function.signature(name)}`" in text for name, function in FUNCTIONS.items())
    assert all(f"`{kind}`" in text for kind in KINDS)
    assert set(_MERGE_MEANINGS) == {word for words in MERGE_OPERATIONS.values() for word in words}
    assert all(f"{name}(" in " ".join(row[0] for row in _AGGREGATES) for name in AGGREGATES)
