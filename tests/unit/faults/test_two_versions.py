"""The newer version of the program that works beside this one."""

import subprocess
import sys

import msgspec

from faults.versions import newer_program, with_a_field_more
from listbridge.exports.delivered import Delivered, pack, unpack_delivered

SOURCE = '''"""A module."""
import msgspec

class One(msgspec.Struct, frozen=True):
    at: int

    def later(self) -> int:
        return self.at + 1

class Other:
    at: int
'''
DELIVERED = """
from listbridge.exports.delivered import Delivered, pack, unpack_delivered
import sys
told = unpack_delivered(sys.stdin.buffer.read())
assert told.newer == 7, told
sys.stdout.buffer.write(pack(told))
"""


def test_each_struct_and_nothing_else_has_a_field_more():
    made = with_a_field_more(SOURCE)
    assert made.count("newer: int = 7") == 1
    namespace = {}
    exec(made, namespace)
    assert [each.name for each in msgspec.structs.fields(namespace["One"])] == ["at", "newer"]
    assert namespace["One"](3).later() == 4


def test_each_version_reads_what_the_other_wrote(tmp_path):
    newer_program(tmp_path)
    before = Delivered(1, "Ann", ("Gold",), {}, ((1, "x"),), vacated=True)
    run = subprocess.run(
        [sys.executable, "-c", DELIVERED],
        input=pack(before),
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert len(msgspec.msgpack.decode(run.stdout)) == len(msgspec.structs.fields(Delivered)) + 1
    assert unpack_delivered(run.stdout) == before
