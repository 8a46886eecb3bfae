"""The last outcomes of a person, packed: how they are kept, and how large they get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.history import SHOWN_LABELS, framed, happened, to_remember, unframed
from listbridge.exports.protocol import Flags

AT = 1_790_000_000_000
TOLD = Delivered(AT - 10, None, ("vip",), {}, ((AT - 10, "x"),))
ADOPTED = Delivered(AT - 10, None, ("vip",), {}, known=True)
REFUSED = Refused(AT - 5, "invalid", "too long", "row")

ENTRIES = st.builds(
    happened,
    st.sampled_from(["stored", "refused", "unanswered", "later", "absent"]),
    st.integers(0, 2**43),
    code=st.text(max_size=80),
    flags=st.builds(Flags, st.booleans(), st.booleans()),
    options=st.lists(st.text(max_size=80), max_size=12),
    tried_again=st.booleans(),
)


@given(st.lists(ENTRIES, max_size=8))
def test_what_is_framed_newest_first_is_read_oldest_first(entries):
    assert unframed(b"".join(map(framed, entries[::-1]))) == entries


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        (happened("stored", AT, options=("vip",)), 24),
        (happened("refused", AT, code="unsubscribed"), 32),
        (happened("unanswered", AT, options=("vip", "lapsed")), 32),
    ],
)
def test_an_entry_is_small(entry, size):
    assert len(framed(entry)) <= size


def test_many_long_labels_are_cut_and_counted():
    entry = happened("stored", AT, options=["x" * 250] * 500)
    assert (len(entry.options), entry.more) == (SHOWN_LABELS, 500 - SHOWN_LABELS)
    assert len(framed(entry)) < 600


@pytest.mark.parametrize(
    ("entry", "before", "refused", "in_doubt", "kept", "first"),
    [
        (happened("stored", AT), None, None, False, False, 0),
        (happened("refused", AT, code="suppressed"), None, None, False, False, 0),
        (happened("stored", AT, flags=Flags(queue_autoresponders=True)), None, None, False, True, 0),
        (happened("unanswered", AT), None, None, False, True, 0),
        (happened("stored", AT), TOLD, None, False, True, 1),
        (happened("stored", AT), TOLD, REFUSED, False, True, 2),
        (happened("stored", AT), ADOPTED, None, False, True, 0),
        (happened("stored", AT), ADOPTED, REFUSED, False, True, 1),
        (happened("stored", AT), TOLD, None, True, True, 0),
    ],
)
def test_what_the_present_state_tells_whole_is_not_kept(entry, before, refused, in_doubt, kept, first):
    new, earlier = to_remember(entry, before, refused, in_doubt=in_doubt)
    assert bool(new) is kept
    assert len(unframed(earlier)) == first


def test_the_history_begins_with_what_the_present_state_told_before():
    new, earlier = to_remember(happened("stored", AT), TOLD, REFUSED, in_doubt=False)
    told = unframed(new + earlier)
    assert [(each.what, each.at) for each in told] == [
        ("stored", TOLD.at),
        ("refused", REFUSED.at),
        ("stored", AT),
    ]


def test_a_row_that_was_found_in_the_list_is_never_told_as_one_that_we_stored():
    new, earlier = to_remember(happened("stored", AT, options=("gold",)), ADOPTED, None, in_doubt=False)
    assert [(each.what, each.at, each.options) for each in unframed(new + earlier)] == [
        ("stored", AT, ("gold",))
    ]
