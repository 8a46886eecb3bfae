import dataclasses
import math
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.profiles.codec import Codec, CorruptProfile, NewerProfile, Profile

TIMES = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
SCALARS = (
    TIMES
    | TEXT
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.lists(TEXT)
    | st.tuples(TIMES, TEXT).map(list)
)
STATES = st.dictionaries(TEXT, SCALARS | st.dictionaries(TEXT, SCALARS, max_size=3), max_size=5)


@pytest.fixture(scope="module")
def codec_of(shipped_program):
    """A codec of a version that gives these ids these numbers."""

    def make(numbers, version=1):
        return Codec(
            dataclasses.replace(shipped_program, version=version, numbers=MappingProxyType(dict(numbers)))
        )

    return make


@given(TIMES, STATES)
@settings(max_examples=60)
def test_a_profile_is_unpacked_as_it_was_packed_by_any_process(codec_of, updated_at, states):
    numbers = {name: number for number, name in enumerate(states, start=1)}
    profile = Profile(updated_at, states)

    packed = codec_of(numbers).pack(profile)

    assert codec_of(numbers).unpack(packed) == profile


def test_a_later_version_reads_what_it_took_over_and_drops_the_rest(codec_of):
    packed = codec_of({"a": 1, "b": 2}).pack(Profile(1, {"a": 5, "b": 6}))

    assert codec_of({"b": 2, "c": 3}, version=2).unpack(packed).states == {"b": 6}


def test_a_definition_that_came_back_does_not_find_what_it_left(codec_of):
    packed = codec_of({"a": 1}).pack(Profile(1, {"a": 5}))

    assert codec_of({"a": 2}, version=3).unpack(packed).states == {}


def test_a_profile_of_a_newer_version_is_not_read_by_an_older_one(codec_of):
    packed = codec_of({"a": 1}, version=2).pack(Profile(1, {"a": 5}))

    with pytest.raises(NewerProfile):
        codec_of({"a": 1}, version=1).unpack(packed)


def test_a_state_of_another_program_is_not_packed(codec_of):
    with pytest.raises(KeyError):
        codec_of({"a": 1}).pack(Profile(1, {"b": 5}))


def test_names_are_not_repeated_in_every_profile(codec_of):
    name = "a_long_field_name:0123abcd"

    assert len(codec_of({name: 1}).pack(Profile(0, {name: 1}))) < len(name)


def test_any_changed_bit_is_noticed(codec_of):
    codec = codec_of({"a": 1, "b": 2})
    packed = codec.pack(Profile(1_442_525_100_000, {"a": [1, 2, "text"], "b": {"k": math.pi}}))

    for position in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptProfile):
            codec.unpack(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, -1])
def test_a_cut_profile_is_noticed(codec_of, cut):
    codec = codec_of({"a": 1})

    with pytest.raises(CorruptProfile):
        codec.unpack(codec.pack(Profile(1, {"a": 1}))[:cut])


def test_what_can_not_be_decoded_is_noticed_though_its_checksum_is_right(codec_of):
    with pytest.raises(CorruptProfile):
        codec_of({"a": 1}).unpack(bytes(4))
