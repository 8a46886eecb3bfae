import math
from types import SimpleNamespace

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
STATES = st.dictionaries(
    st.integers(1, 500), SCALARS | st.dictionaries(TEXT, SCALARS, max_size=3), max_size=5
)


def codec_of(*numbers, version=1):
    """A codec of a version whose definitions have these numbers."""
    return Codec(SimpleNamespace(version=version, numbers=frozenset(numbers)))


@given(TIMES, STATES)
@settings(max_examples=60)
def test_a_profile_is_unpacked_as_it_was_packed_by_any_process(updated_at, states):
    profile = Profile(updated_at, states)

    packed = codec_of(*states).pack(profile)

    assert codec_of(*states).unpack(packed) == profile


def test_a_later_version_reads_what_it_took_over_and_drops_the_rest():
    packed = codec_of(1, 2).pack(Profile(1, {1: 5, 2: 6}))

    assert codec_of(2, 3, version=2).unpack(packed).states == {2: 6}


def test_a_profile_of_a_newer_version_is_not_read_by_an_older_one():
    packed = codec_of(1, version=2).pack(Profile(1, {1: 5}))

    with pytest.raises(NewerProfile):
        codec_of(1, version=1).unpack(packed)


def test_a_state_of_another_program_is_not_packed():
    with pytest.raises(KeyError):
        codec_of(1).pack(Profile(1, {2: 5}))


def test_any_changed_bit_is_noticed():
    codec = codec_of(1, 2)
    packed = codec.pack(Profile(1_442_525_100_000, {1: [1, 2, "text"], 2: {"k": math.pi}}))

    for position in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptProfile):
            codec.unpack(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, -1])
def test_a_cut_profile_is_noticed(cut):
    codec = codec_of(1)

    with pytest.raises(CorruptProfile):
        codec.unpack(codec.pack(Profile(1, {1: 1}))[:cut])


def test_what_can_not_be_decoded_is_noticed_though_its_checksum_is_right():
    with pytest.raises(CorruptProfile):
        codec_of(1).unpack(bytes(4))
