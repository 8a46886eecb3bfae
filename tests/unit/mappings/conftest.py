"""Mappings beside the shipped ones, as texts."""

import pytest

from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, plan


@pytest.fixture(params=["store", "fake_store"])
def any_store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def texts():
    """The shipped mappings with one of these columns."""

    def make(*columns):
        listed = "".join(f"\n  , {column}" for column in columns)
        text = (
            f"SELECT email(email) AS email KIND string{listed}\nFROM cm_activity INTO USER BY email ALIAS own"
        )
        return (*with_files([]), MappingText("own", "own.lql", text))

    return make


@pytest.fixture
def become(any_store, texts):
    """Makes the shipped mappings with one of these columns active."""
    return lambda *columns: activate(any_store, plan(any_store, texts(*columns)))
