"""What may be written behind `listbridge simulate`."""

import pytest

from simulator.__main__ import main


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "99999"), ("--port", "-1"), ("--people", "-5"), ("--lists", "x"), ("--scale", "-1"),
     ("--scale", "nan"), ("--scale", "inf")],
)  # fmt: skip
def test_a_wrong_number_is_refused_with_what_would_be_right(option, value, capsys):
    with pytest.raises(SystemExit) as ended:
        main([f"{option}={value}"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"argument {option}: '{value}' is not a" in said
    assert len(said) < 1000
