import re
from pathlib import Path

import pytest
from redis.crc import key_slot

import listbridge
from listbridge.store import keys
from listbridge.store.keys import SLOTS, PartitionKeys, partition_of, tag

ROOT = Path(listbridge.__file__).parents[1]


@pytest.mark.parametrize("partitions", [1, 2, 3, 16, 64, 1024])
def test_each_partition_lies_in_its_own_share_of_the_slots(partitions):
    slots = [key_slot(tag(number, partitions).encode()) for number in range(partitions)]

    assert [slot * partitions // SLOTS for slot in slots] == list(range(partitions))


def test_tags_are_all_different():
    assert len({tag(number, 1024) for number in range(1024)}) == 1024


def test_the_tags_of_a_store_do_not_change_from_version_to_version():
    assert [tag(number, 16) for number in range(4)] == ["00-23", "01-20", "02-a", "03-b"]


@pytest.mark.parametrize(
    ("key", "partition"), [(b"ann@x.se", 12), (b"", 0), ("zoë@x.se".encode(), 11), (b"\xff\x00", 13)]
)
def test_a_person_stays_in_their_partition_from_version_to_version(key, partition):
    assert partition_of(key, 16) == partition


def test_people_spread_evenly():
    counts = [0] * 16
    for number in range(16_000):
        counts[partition_of(b"person%d@example.com" % number, 16)] += 1

    assert min(counts) > 800
    assert max(counts) < 1200


def names_of(part):
    """Every key name of a partition, whatever it is called with."""
    names = []
    for name in dir(PartitionKeys):
        if name.startswith("_") or name == "number":
            continue
        made = getattr(part, name)
        if isinstance(made, str):
            names.append(made)
        elif name == "seen":
            names.append(made("a {stream}", -7))
        elif name == "tracked":
            names += [made("leaving", "a {name}"), made("refused", "a {name}")]
        else:
            names.append(made("a {name}"))
    return names


@pytest.mark.parametrize("number", [0, 7, 15])
def test_all_keys_of_a_partition_are_in_one_slot(number):
    names = names_of(PartitionKeys(number, 16))

    assert len(names) > 15
    assert {key_slot(name.encode()) for name in names} == {key_slot(tag(number, 16).encode())}


def test_no_two_keys_have_one_name():
    names = [name for number in range(16) for name in names_of(PartitionKeys(number, 16))]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("slug", ["vip", "a:b", "}:audience:x", "a*b?[c]", "ÅÄÖ", "two words"])
def test_an_audience_can_be_read_off_its_key(slug):
    assert keys.slug_of(PartitionKeys(3, 16).audience(slug).encode()) == slug


def test_key_names_are_made_in_one_module():
    packages = ("listbridge", "workers", "webhooks", "cli")
    files = [path for name in packages for path in (ROOT / name).rglob("*.py")]
    makers = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(r"""["']lb:""", path.read_text(encoding="utf-8"))
    ]

    assert len(files) > 40
    assert makers == ["listbridge/store/keys.py"]
