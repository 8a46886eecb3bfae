import pytest

from listbridge.campaign_monitor.codes import _ROW_OUTCOMES
from listbridge.exports.advice import _ADVICE, advice
from listbridge.exports.terms import OPTED_OUT


def test_every_refusal_that_the_api_or_we_know_has_an_advice_of_its_own():
    waits = {"too_fast"}
    ours = {*OPTED_OUT, "unknown_option", "in_list", "unreadable", "unacceptable"}
    assert (ours | {*_ROW_OUTCOMES.values()}) - waits <= _ADVICE.keys()


@pytest.mark.parametrize("code", ["code 999", ""])
def test_another_code_is_to_be_looked_up(code):
    assert "look the code up" in advice(code)


def test_an_address_in_another_script_is_told_from_a_misspelt_one():
    assert "plain letters" in advice("invalid", "ünï@example.com")
    assert "plain letters" not in advice("invalid", "ann@example")
