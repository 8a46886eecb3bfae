"""A manifest that can't be read is told as damage, whatever is in it."""

import pytest

from listbridge.backup.manifest import NAME, NoBackup, read


@pytest.mark.parametrize(
    "text", [b"", b"\x00", b"[", b'{"format":', b'{"format":1,"taken_at":1,"program":"\xff"}', b"[" * 100_000]
)
def test_a_manifest_that_is_damaged_is_called_so(tmp_path, text):
    (tmp_path / NAME).write_bytes(text)
    with pytest.raises(NoBackup, match=r"backup\.json is damaged"):
        read(tmp_path)
