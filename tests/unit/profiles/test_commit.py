import pytest

from listbridge.profiles import commit
from listbridge.profiles.commit import Answer, Commit, read_packed, versions_and_offsets, write


@pytest.fixture(params=["store", "fake_store"])
def any_store(request):
    return request.getfixturevalue(request.param)


def full(part, version=b""):
    return Commit(
        part,
        version,
        offsets={"cm_user": b"5-0"},
        profiles={"ann@x.se": b"\x00one", "bob@x.se": b"two"},
        entered={"vip": ["ann@x.se", "bob@x.se"], "new": ["ann@x.se"]},
        left={"old": ["bob@x.se"], "new": ["bob@x.se"]},
        quarantined={"cm_user": [b"1\twhy\traw"], "audience": [b"2\twhy\traw", b"3\twhy\traw"]},
    )


def held(store, part):
    client = store.client
    return {
        "offsets": client.hgetall(part.offsets),
        "profiles": client.hgetall(part.profiles),
        "changed": client.zrange(part.changed, 0, -1, withscores=True),
        "audiences": {slug: client.smembers(part.audience(slug)) for slug in ("vip", "new", "old")},
        "quarantines": [client.xlen(part.quarantine(stream)) for stream in ("cm_user", "audience")],
    }


def test_a_commit_writes_everything_it_holds(any_store):
    part = any_store.parts[3]
    any_store.client.sadd(part.audience("old"), "bob@x.se", "eve@x.se")

    assert write(any_store, [full(part)]) == [Answer.WRITTEN]

    found = held(any_store, part)
    assert [(key, score) for key, score in found["changed"]] == [(b"ann@x.se", 1), (b"bob@x.se", 2)]
    assert found | {"changed": None} == {
        "offsets": {b"cm_user": b"5-0"},
        "profiles": {b"ann@x.se": b"\x00one", b"bob@x.se": b"two"},
        "changed": None,
        "audiences": {"vip": {b"ann@x.se", b"bob@x.se"}, "new": {b"ann@x.se"}, "old": {b"eve@x.se"}},
        "quarantines": [1, 2],
    }


def test_a_commit_on_another_version_writes_nothing(any_store):
    part = any_store.parts[3]
    write(any_store, [Commit(part, b"", profiles={"eve@x.se": b"x"})])
    before = held(any_store, part)

    assert write(any_store, [full(part), full(part, b"of long ago")]) == [Answer.CONFLICT] * 2
    assert held(any_store, part) == before


def test_every_commit_makes_a_version_of_its_own(any_store):
    part = any_store.parts[3]
    seen = {b""}
    for _ in range(5):
        [(version, _)] = versions_and_offsets(any_store, [part])
        assert write(any_store, [Commit(part, version)]) == [Answer.WRITTEN]
        seen.add(version)

    assert len(seen) == 5


def test_a_commit_that_is_sent_again_is_written_once_and_answered_alike(any_store):
    part = any_store.parts[3]
    names, args = commit._call(full(part))

    answers = [any_store.script(commit._COMMIT, names, args) for _ in range(3)]

    assert answers == [1, 1, 1]
    assert held(any_store, part)["quarantines"] == [1, 2]
    assert any_store.client.get(part.sequence) == b"2"


def test_a_commit_that_is_sent_again_after_somebody_elses_is_refused(any_store):
    part = any_store.parts[3]
    names, args = commit._call(full(part))
    any_store.script(commit._COMMIT, names, args)
    [(version, _)] = versions_and_offsets(any_store, [part])
    write(any_store, [Commit(part, version, profiles={"ann@x.se": b"newer"})])

    assert any_store.script(commit._COMMIT, names, args) == 0
    assert any_store.client.hget(part.profiles, "ann@x.se") == b"newer"


def test_commits_of_several_partitions_stand_or_fall_alone(any_store):
    one, other = any_store.parts[3], any_store.parts[4]
    write(any_store, [Commit(one, b"")])

    assert write(any_store, [full(one), full(other)]) == [Answer.CONFLICT, Answer.WRITTEN]
    assert held(any_store, one)["profiles"] == {}
    assert len(held(any_store, other)["profiles"]) == 2


def test_a_person_who_changes_again_moves_to_the_end_of_the_log(any_store):
    part = any_store.parts[3]
    write(any_store, [full(part)])
    [(version, offsets)] = versions_and_offsets(any_store, [part])
    write(any_store, [Commit(part, version, profiles={"ann@x.se": b"three"})])

    assert offsets == {"cm_user": b"5-0"}
    assert held(any_store, part)["changed"] == [(b"bob@x.se", 2), (b"ann@x.se", 3)]


def test_only_those_who_have_a_profile_are_read(any_store):
    part = any_store.parts[3]
    write(any_store, [full(part)])

    assert read_packed(any_store, part, ["bob@x.se", "eve@x.se"]) == {"bob@x.se": b"two"}
    assert read_packed(any_store, part, []) == {}


def test_from_the_first_commit_of_newer_mappings_on_older_ones_are_refused(any_store):
    part = any_store.parts[3]

    def put(version, mapping):
        made = Commit(part, version, mapping, profiles={"ann@x.se": str(mapping).encode()})
        [answer] = write(any_store, [made])
        return answer, any_store.client.hget(part.profiles, "ann@x.se")

    def now():
        return versions_and_offsets(any_store, [part])[0][0]

    assert put(b"", 1) == (Answer.WRITTEN, b"1")
    first = now()
    assert put(now(), 3) == (Answer.WRITTEN, b"3")
    assert put(now(), 2) == (Answer.OUTDATED, b"3")
    assert put(first, 2) == (Answer.OUTDATED, b"3")
    assert put(first, 3) == (Answer.CONFLICT, b"3")
    assert put(now(), 3) == (Answer.WRITTEN, b"3")
    assert any_store.client.get(part.mapping) == b"3"


def test_a_refused_commit_does_not_raise_the_version_of_the_mappings(any_store):
    part = any_store.parts[3]
    write(any_store, [Commit(part, b"", 1)])

    assert write(any_store, [Commit(part, b"of long ago", 2)]) == [Answer.CONFLICT]
    assert any_store.client.get(part.mapping) == b"1"


def test_a_commit_that_newer_mappings_followed_is_refused_when_it_is_sent_again(any_store):
    part = any_store.parts[3]
    names, args = commit._call(Commit(part, b"", 1, profiles={"ann@x.se": b"old"}))
    assert any_store.script(commit._COMMIT, names, args) == 1
    [(version, _)] = versions_and_offsets(any_store, [part])
    write(any_store, [Commit(part, version, 2, profiles={"ann@x.se": b"new"})])

    assert any_store.script(commit._COMMIT, names, args) == -1
    assert any_store.client.hget(part.profiles, "ann@x.se") == b"new"
