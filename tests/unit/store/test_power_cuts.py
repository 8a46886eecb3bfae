import pytest

from listbridge.store import power_cuts
from listbridge.store.power_cuts import cut_zeros

NAME = "appendonly.aof.3.incr.aof"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "appendonlydir").mkdir()
    return tmp_path / "appendonlydir" / NAME


@pytest.mark.parametrize("block", [1, 3, 1 << 16])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"\0" * 9, b""),
        (b"SET\r\n", b"SET\r\n"),
        (b"SET\r\n\0", b"SET\r\n"),
        (b"a\0\0b\r\n" + b"\0" * 4090, b"a\0\0b\r\n"),
        (b"a\0\0b", b"a\0\0b"),
    ],
)
def test_zeros_at_the_end_are_cut_off_and_told(file, monkeypatch, block, before, after):
    monkeypatch.setattr(power_cuts, "BLOCK_BYTES", block)
    file.write_bytes(before)

    told = list(cut_zeros(file.parent.parent))

    assert file.read_bytes() == after
    assert told == ([(file, len(before) - len(after))] if before != after else [])


def test_the_base_file_is_left_alone(file):
    base = file.with_name("appendonly.aof.3.base.rdb")
    base.write_bytes(b"VALKEY\0\0")
    assert list(cut_zeros(file.parent.parent)) == []
    assert base.read_bytes() == b"VALKEY\0\0"


def test_without_a_store_there_is_nothing_to_cut(tmp_path):
    assert list(cut_zeros(tmp_path)) == []
