"""Which opt-outs nobody could have known of: those after the look that went just before the row."""

import pytest

from faults.races import Added, added_after_opt_out

AT = "2026-05-01T12:00:00.{:03}Z"


def added(looked, left):
    return Added("l2", "ann@x.se", "suppressed", left, looked, AT.format(900))


@pytest.mark.parametrize(
    ("looked", "left", "race"),
    [
        pytest.param(AT.format(100), AT.format(500), True, id="between the look and the row"),
        pytest.param(AT.format(500), AT.format(100), False, id="the look would have told"),
        pytest.param("", AT.format(500), False, id="nobody looked"),
        pytest.param("2026-05-01T11:59:50.000Z", AT.format(500), False, id="the look was long ago"),
        pytest.param(AT.format(100), "", False, id="an opt-out that the books don't have"),
    ],
)
def test_only_an_opt_out_after_the_look_is_a_race(looked, left, race):
    assert added(looked, left).was_a_race is race


def test_the_latest_opt_out_before_the_row_counts():
    def log(at, list_id="", how="suppressed"):
        return {"list_id": list_id, "email": "Ann@x.se", "at": AT.format(at), "how": how}

    records = {
        "opt_outs": [log(100), log(300), log(990), log(400, "l1", "unsubscribed")],
        "added_after_opt_out": [log(900, "l2") | {"looked_at": AT.format(200)}],
    }
    [found] = added_after_opt_out(records)
    assert found.opted_out_at == AT.format(300)
    assert (found.was_a_race, found.open_ms) == (True, 700)
