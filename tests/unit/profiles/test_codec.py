import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listbridge.profiles.codec import Codec, CorruptProfile, Profile
from listbridge.store import keys

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


@given(TIMES, STATES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_profile_is_unpacked_as_it_was_packed_by_any_process(fake_store, updated_at, states):
    profile = Profile(updated_at, states)

    packed = Codec(fake_store).pack(profile)

    assert Codec(fake_store).unpack(packed) == profile


def test_two_processes_share_one_register(fake_store):
    one, other = Codec(fake_store), Codec(fake_store)
    packed = [one.pack(Profile(1, {"a": 1, "b": 2})), other.pack(Profile(2, {"c": 3, "b": 4}))]
    packed.append(one.pack(Profile(3, {"c": 5, "d": 6})))

    for codec in (one, other, Codec(fake_store)):
        assert [codec.unpack(each).states for each in packed] == [
            {"a": 1, "b": 2},
            {"c": 3, "b": 4},
            {"c": 5, "d": 6},
        ]
    numbers = fake_store.client.hgetall(keys.FIELDS)
    assert sorted(numbers.values()) == [b"1", b"2", b"3", b"4"]


def test_names_are_not_repeated_in_every_profile(fake_store):
    name = "a_long_field_name:0123abcd"

    assert len(Codec(fake_store).pack(Profile(0, {name: 1}))) < len(name)


def test_a_known_register_is_not_asked_again(fake_store, monkeypatch):
    codec = Codec(fake_store)
    packed = codec.pack(Profile(1, {"a": 1}))
    monkeypatch.setattr(codec, "_store", None)

    assert codec.unpack(codec.pack(Profile(2, {"a": 2}))).states == {"a": 2}
    assert codec.unpack(packed).states == {"a": 1}


def test_any_changed_bit_is_noticed(fake_store):
    codec = Codec(fake_store)
    packed = codec.pack(Profile(1_442_525_100_000, {"a": [1, 2, "text"], "b": {"k": math.pi}}))

    for position in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptProfile):
            codec.unpack(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, -1])
def test_a_cut_profile_is_noticed(fake_store, cut):
    codec = Codec(fake_store)

    with pytest.raises(CorruptProfile):
        codec.unpack(codec.pack(Profile(1, {"a": 1}))[:cut])


def test_a_profile_with_a_field_that_the_register_lost_is_noticed(fake_store):
    packed = Codec(fake_store).pack(Profile(1, {"a": 1}))
    fake_store.client.delete(keys.FIELDS)

    with pytest.raises(CorruptProfile):
        Codec(fake_store).unpack(packed)
