"""A person is erased everywhere, and what happened before doesn't bring them back."""

import dataclasses

import polars as pl
import pytest
from mortal import Killed
from properties import EACH_STEP

from listbridge.aggregation.fold import Folder
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.storage import LocalStorage
from listbridge.erasure import places
from listbridge.erasure.document import document
from listbridge.erasure.erasing import Eraser, erasures
from listbridge.erasure.errors import ErasureError
from listbridge.erasure.mentions import Mentions
from listbridge.exports import findings
from listbridge.exports.drift import Drift, Kind
from listbridge.jobs.forget import NoAddress, find, forget, keys_of
from listbridge.jobs.rebuild import rebuild
from listbridge.profiles.reading import profile_of
from listbridge.store.lease import Lease
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Event, Unreadable
from listbridge.streams.log import append, quarantine, totals
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY, SCHEMAS

ADA, BO, CY = "ada@example.com", "bo@example.com", "cy@example.com"
MONDAY = 1_793_491_200_000
MINUTE = 60_000


def opened(key, number=0, at=MONDAY, **values):
    return Event(CM_ACTIVITY, key, at, ("open", key, at, number), {"email": key, "event": "open"} | values)


def entered(key, at=MONDAY, audience="vip"):
    values = {"email": key, "audience": audience, "event": "enter"}
    return Event(AUDIENCE, key, at, ("enter", audience, key, at), values)


def everybody(people=(ADA, BO, CY)):
    return [opened(key, n) for key in people for n in range(3)] + [entered(key) for key in people]


def fold(context):
    Folder(context.store, context.program, context.archive).run()


def view(context, key):
    return profile_of(context.store, context.programs, key, history=context.archive)


def everything_in(context):
    """Every byte in the store and in the archive's files, decompressed."""
    client = context.store.client
    found = []
    for name in client.scan_iter(count=1000):
        found.append(name)
        kind = client.type(name)
        if kind == b"string":
            found.append(client.get(name))
        elif kind == b"hash":
            for pair in client.hgetall(name).items():
                found += pair
        elif kind == b"set":
            found += client.smembers(name)
        elif kind == b"zset":
            found += client.zrange(name, 0, -1)
        elif kind == b"stream":
            for _, fields in client.xrange(name):
                found += fields.values()
        else:
            raise AssertionError(f"{name} is a {kind}: look into it, too")
    for path in context.archive.storage.sizes():
        if path.endswith(".parquet"):
            found.append(pl.read_parquet(context.archive.storage.source(path)).write_ndjson().encode())
    return b"\n".join(found)


def is_named(context, key):
    return Mentions(key).search(everything_in(context))


def erase(context, key=ADA):
    [done] = forget(context, [key])
    return done


@pytest.fixture
def peopled(context):
    append(context.store, everybody())
    fold(context)
    return context


def test_an_erased_person_is_nowhere_in_the_store(peopled):
    before = view(peopled, BO)
    assert is_named(peopled, ADA)
    done = erase(peopled)
    assert done.complete
    assert done.found["profiles"] == 1
    assert done.found["audience"] == 1
    assert done.found["stream cm_activity"] == 3
    assert done.found["stream audience"] == 1
    assert not is_named(peopled, ADA)
    assert view(peopled, ADA) is None
    assert view(peopled, BO) == before


def test_an_erased_person_is_in_no_file_of_the_archive(peopled):
    run_pass(peopled.archive, peopled.program.streams)
    append(peopled.store, [opened(ADA, 7), opened(BO, 7)])
    run_pass(peopled.archive, peopled.program.streams, grace_ms=10**9)
    fold(peopled)
    before = view(peopled, BO)
    done = erase(peopled)
    assert (done.complete, done.found["archive cm_activity"]) == (True, 4)
    assert not is_named(peopled, ADA)
    rebuild(peopled)
    assert view(peopled, ADA) is None
    assert view(peopled, BO) == before
    assert view(peopled, BO)["fields"]["cm_openct"] == 4


def test_events_that_come_again_do_not_bring_anybody_back(peopled):
    erase(peopled)
    counts = append(peopled.store, everybody())
    assert (counts.accepted, counts.erased) == (0, 4)
    fold(peopled)
    assert not is_named(peopled, ADA)


def test_a_late_event_of_the_time_before_is_dropped_and_a_later_one_starts_afresh(peopled):
    done = erase(peopled)
    counts = append(peopled.store, [opened(ADA, 99, done.at - 1), opened(ADA, 99, done.at + 1)])
    assert (counts.accepted, counts.erased) == (1, 1)
    fold(peopled)
    assert view(peopled, ADA)["fields"]["cm_openct"] == 1
    assert view(peopled, ADA)["audiences"] == []


@pytest.mark.parametrize("archived", [False, True])
def test_what_is_taken_out_is_over_also_when_it_is_dated_ahead_or_comes_meanwhile(peopled, archived):
    ahead = opened(ADA, 7, now_ms() + 240_000)
    append(peopled.store, [ahead])
    if archived:
        run_pass(peopled.archive, peopled.program.streams)
    meanwhile = []

    def outside():
        meanwhile.append(opened(ADA, 8, now_ms() + 250_000))
        assert append(peopled.store, meanwhile).accepted == 1
        return {}

    done = Eraser(peopled.archive, peopled.programs).erase(ADA, outside)
    assert done.complete
    assert done.at == meanwhile[0].time
    for name in peopled.store.client.scan_iter("lb:*:seen:*"):
        peopled.store.client.delete(name)
    assert append(peopled.store, [ahead, *meanwhile]).erased == 2


def test_somebody_who_started_afresh_can_be_erased_again(peopled):
    first = erase(peopled)
    append(peopled.store, [opened(ADA, 99, first.at + 1)])
    fold(peopled)
    again = erase(peopled)
    assert again.complete
    assert again.found["profiles"] == 1
    assert not is_named(peopled, ADA)


def test_what_was_not_folded_yet_is_never_folded(context):
    append(context.store, everybody())
    erase(context)
    fold(context)
    assert view(context, ADA) is None
    assert view(context, BO)["fields"]["cm_openct"] == 3


def test_a_fold_that_had_read_before_the_erasure_writes_nothing_of_it(context, monkeypatch):
    append(context.store, everybody())
    folder = Folder(context.store, context.program, context.archive)
    commit, erased = folder._commit, []

    def late(work, reduced, result):
        if not erased:
            erased.append(erase(context))
        commit(work, reduced, result)

    monkeypatch.setattr(folder, "_commit", late)
    result = folder.run()
    assert erased[0].complete
    assert result.conflicts >= 1
    assert not is_named(context, ADA)
    assert view(context, BO)["fields"]["cm_openct"] == 3


def test_the_counts_of_the_others_stay_right(peopled):
    run_pass(peopled.archive, peopled.program.streams)
    erase(peopled)
    append(peopled.store, [opened(BO, 50), opened(CY, 50)])
    fold(peopled)
    run_pass(peopled.archive, peopled.program.streams)
    assert sum(each.appended - each.trimmed for each in totals(peopled.store, CM_ACTIVITY)) == 0
    for part in peopled.store.parts:
        for stream in SCHEMAS:
            found = peopled.archive.snapshot(stream, part)
            assert found.state.events == found.events


def test_what_is_set_aside_of_them_goes_and_what_is_of_others_stays(peopled):
    mine = b'{"EmailAddress":"Ada@Example.com","Date":"?"}'
    theirs = b'{"EmailAddress":"not.ada@example.com","Date":"?"}'
    quarantine(peopled.store, [Unreadable(CM_ACTIVITY, raw, "no date") for raw in (mine, theirs)])
    assert erase(peopled).found["quarantine cm_activity"] == 1
    content = everything_in(peopled)
    assert theirs in content
    assert mine not in content


def test_records_of_lists_go_in_whatever_they_are_kept(peopled):
    store, part = peopled.store, peopled.store.part(ADA)
    for name in (part.delivered, part.refused, part.history, part.drift):
        store.client.hset(name("l1"), mapping={ADA: b"x", BO: b"y"})
    store.client.zadd(part.retry("l1"), {ADA: 1, BO: 1})
    store.client.zadd(part.tracked("leaving", "l1"), {ADA: 1})
    store.client.hset(store.part("ada@new.example").claims("l1"), "ada@new.example", ADA)
    store.client.zadd(store.part("z@x.se").claimants("l1"), {f"z@x.se {ADA}": 0, f"z@x.se {BO}": 0})
    store.client.set("lb:plan:w1", b'{"samples": ["ada@example.com"]}')
    store.client.set("lb:plan:w2", b'{"samples": ["other.ada@example.com"]}')
    done = erase(peopled)
    assert done.complete
    names = ("delivered", "refused", "history", "drift", "retry", "tracked", "claims", "waiting", "note plan")
    assert {name: done.found[name] for name in names} == dict.fromkeys(names, 1)
    assert not is_named(peopled, ADA)
    assert store.client.hget(part.delivered("l1"), BO) == b"y"
    assert store.client.exists("lb:plan:w2")


def test_a_delivery_that_is_under_way_can_record_nothing_of_them(peopled):
    part = peopled.store.part(ADA)
    peopled.store.client.set(part.fence("l1"), "deliverer")
    erase(peopled)
    assert peopled.store.client.get(part.fence("l1")) != b"deliverer"


def test_mentions_in_the_events_of_others_are_cleared(peopled):
    moved = Event(CM_ACTIVITY, BO, MONDAY, ("update", 1), {"email": BO, "event": "update", "old_email": ADA})
    append(peopled.store, [moved])
    fold(peopled)
    done = erase(peopled)
    assert done.complete
    assert done.found["mentions in streams"] == 1
    assert not is_named(peopled, ADA)
    assert view(peopled, BO)["fields"]["cm_openct"] == 3


def test_mentions_in_the_archive_are_cleared_too(peopled):
    moved = Event(CM_ACTIVITY, BO, MONDAY, ("update", 1), {"email": BO, "event": "update", "old_email": ADA})
    append(peopled.store, [moved])
    fold(peopled)
    run_pass(peopled.archive, peopled.program.streams)
    done = erase(peopled)
    assert done.complete
    assert not is_named(peopled, ADA)
    rebuild(peopled)
    assert view(peopled, BO)["fields"]["cm_openct"] == 3


def test_files_that_a_compaction_replaced_are_deleted_at_once(peopled):
    for n in range(9):
        append(peopled.store, [opened(ADA, 100 + n), opened(BO, 100 + n)])
        fold(peopled)
        run_pass(peopled.archive, peopled.program.streams)
    assert erase(peopled).complete
    assert not is_named(peopled, ADA)
    assert view(peopled, BO)["fields"]["cm_openct"] == 12


def test_looking_changes_nothing(peopled):
    before = everything_in(peopled)
    [found] = find(peopled, [ADA])
    assert found.found["profiles"] == 1
    assert view(peopled, ADA) is not None
    assert set(everything_in(peopled).split(b"\n")) >= set(before.split(b"\n"))


def test_the_log_and_the_proof_name_nobody(peopled, caplog):
    caplog.set_level("INFO")
    done = erase(peopled)
    text = caplog.text + repr(dataclasses.asdict(done)) + repr(list(erasures(peopled.store)))
    assert "a person was erased: " in caplog.text
    assert not Mentions(ADA).search(text.encode())


def test_an_erasure_waits_for_another(peopled):
    lease = Lease(peopled.store, "erasure", 10_000)
    assert lease.acquire()
    with pytest.raises(ErasureError, match="another erasure"):
        erase(peopled)


def test_an_erasure_says_which_file_keeps_it_from_ending(peopled):
    run_pass(peopled.archive, peopled.program.streams)
    [path] = [
        file.path
        for file in peopled.archive.snapshot(CM_ACTIVITY, peopled.store.part(ADA)).files
        if file.low <= ADA <= file.high
    ]
    peopled.archive.storage.put(path, b"no parquet", writer="test")
    with pytest.raises(ErasureError, match=path):
        erase(peopled)


def test_what_is_no_address_is_refused(context):
    with pytest.raises(NoAddress, match="nothing was changed"):
        keys_of(context, "nobody")


def test_an_erasure_of_several_addresses_that_was_broken_off_is_ended_for_all(peopled, monkeypatch):
    erase_one = Eraser.erase

    def die_at_the_second(self, person, *arguments):
        if person == BO:
            raise Killed
        return erase_one(self, person, *arguments)

    monkeypatch.setattr(Eraser, "erase", die_at_the_second)
    with pytest.raises(Killed):
        forget(peopled, [ADA, BO])
    monkeypatch.undo()
    assert set(keys_of(peopled, ADA)) == {ADA, BO}
    assert all(each.complete for each in forget(peopled, keys_of(peopled, ADA)))
    assert not is_named(peopled, ADA)
    assert not is_named(peopled, BO)
    assert keys_of(peopled, ADA) == (ADA,)


class Mortal:
    """A client whose process is killed just after its `life`th write."""

    WRITES = ("set", "hset", "hdel", "delete", "xadd", "xdel", "srem", "zrem", "pexpire")

    def __init__(self, client, life):
        self._client, self.left = client, life

    @property
    def __class__(self):
        """A store asks whether its client is one of a cluster."""
        return type(self._client)

    def __getattr__(self, name):
        found = getattr(self._client, name)
        if name not in self.WRITES:
            return found

        return self.killing(found)

    def killing(self, found):
        def step(*args, **options):
            answer = found(*args, **options)
            self.left -= 1
            if self.left <= 0:
                raise Killed
            return answer

        return step


@pytest.mark.parametrize("archived", [False, True])
def test_an_erasure_that_is_killed_at_any_step_is_ended_by_the_next(context, tmp_path, archived, monkeypatch):
    """Some of the first steps, and fewer of those that follow."""
    store, life, ended = Store(context.store.client, 2), 0, False
    want = None
    while not ended:
        life = max(life + EACH_STEP, int(life * 1.08))
        kept = (b"lb:meta", b"lb:mapping")
        store.client.delete("none", *[n for n in store.client.scan_iter() if not n.startswith(kept)])
        store.erasure_key = None
        archive = Archive(store, LocalStorage(tmp_path / f"archive{life}"))
        append(store, everybody())
        Folder(store, context.program, archive).run()
        if archived:
            run_pass(archive, context.program.streams)
            append(store, [opened(ADA, 9), opened(BO, 9)])
        real = store.client
        mortal = Mortal(real, life)
        store.client = mortal
        monkeypatch.setattr(store, "script", mortal.killing(Store.script.__get__(store)))
        try:
            Eraser(archive, context.programs).erase(ADA)
            ended = True
        except Killed:
            pass
        finally:
            store.client = real
            monkeypatch.undo()
        store.client.delete(*[*store.client.scan_iter("lb:lease:*"), "none"])
        done = Eraser(archive, context.programs).erase(ADA)
        assert done.complete
        here = dataclasses.replace(context, store=store)
        here.__dict__["archive"] = archive
        Folder(store, context.program, archive).run()
        assert not is_named(here, ADA), life
        want = want or view(here, BO)
        assert view(here, BO) == want
        assert append(store, everybody()).accepted == 0
    assert life > 30


def test_what_goes_while_a_document_is_made_is_left_out(peopled, monkeypatch):
    store = peopled.store
    part = store.part(ADA)
    store.client.zadd(part.retry("l"), {ADA: 5})
    gone = [
        places.Holding(part.delivered("gone").encode(), "delivered:gone", b"hash"),
        places.Holding(part.retry("gone").encode(), "retry:gone", b"zset"),
    ]
    look = places.holdings
    monkeypatch.setattr(places, "holdings", lambda *of: [*look(*of), *gone])

    made = document(peopled.archive, peopled.programs, [ADA])

    assert made["lists"][ADA] == {"l": {"retry": 5.0}}


def test_a_check_that_had_looked_before_the_erasure_keeps_nothing_of_them(peopled, monkeypatch):
    store = peopled.store
    part, look = store.part(ADA), findings.gone
    looks = []

    def first_too_early(*of):
        looks.append(of)
        return look(*of) if len(looks) > 1 else set()

    monkeypatch.setattr(findings, "gone", first_too_early)
    assert erase(peopled).complete

    findings.write(store, part, "l1", {ADA: findings.Found("run", Drift(Kind.MISSING, "is not in the list"))})

    assert not is_named(peopled, ADA)
    assert not store.client.exists(part.drift("l1"))
