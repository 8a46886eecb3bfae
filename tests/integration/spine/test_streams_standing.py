"""How the streams stand: what came, what waits to be folded, and since when."""

from spine_helpers import activity, moved

from listbridge.aggregation.fold import Folder
from listbridge.standing.streams import streams_standing
from listbridge.store.store import now_ms
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY

ANN, BOB = "ann@example.com", "bob@example.com"
ENTRIES = 250


def standing(store):
    return {each.stream: each for each in streams_standing(store)}


def test_all_that_waits_is_counted_however_many_entries_hold_it(store):
    for minute in range(ENTRIES):
        append(store, [activity(ANN, minute)])
    append(store, [activity(BOB, minute) for minute in range(700)])
    append(store, [moved(ANN, 1)])

    found = standing(store)

    assert (found[CM_ACTIVITY].waiting, found[AUDIENCE].waiting) == (ENTRIES + 700, 1)
    assert 0 <= found[CM_ACTIVITY].lag_seconds(now_ms()) < 60


def test_what_was_folded_waits_no_more_and_stays_accepted(store, context):
    append(store, [activity(ANN, minute) for minute in range(5)] + [activity(BOB, 1)])
    Folder(store, context.program).run()
    done = standing(store)[CM_ACTIVITY]

    append(store, [activity(ANN, minute) for minute in (4, 5, 6)])
    more = standing(store)[CM_ACTIVITY]

    assert (done.waiting, done.accepted, done.oldest_at) == (0, 6, None)
    assert (more.waiting, more.accepted) == (2, 8)
