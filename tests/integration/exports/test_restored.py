"""The drill: a backup is taken, the world goes on, the store is lost and comes back from the backup."""

import hashlib
import json
from dataclasses import replace

import msgspec
import pytest
import redis
from click.testing import CliRunner
from simulated import Export

import settings as settings_module
from cli.main import main
from listbridge.audiences import members
from listbridge.backup import making, manifest, restoring
from listbridge.backup.copying import Copier
from listbridge.backup.manifest import NoBackup, read
from listbridge.context import build
from listbridge.exports import findings
from listbridge.jobs.deliver import deliver
from listbridge.jobs.reconcile import reconcile
from listbridge.store import keys
from listbridge.store.embedded import opened
from listbridge.store.store import connect
from listbridge.workflows import registry, service
from listbridge.workflows.holds import RESTORED, Acknowledgement, NotConfirmed
from listbridge.workflows.models import State
from settings import as_environ

pytestmark = pytest.mark.on_one_server

ANN, BOB, CID, DAN = (f"{name}@example.com" for name in ("ann", "bob", "cid", "dan"))
KNOWN = Acknowledgement(brake=RESTORED)


@pytest.fixture
def lost(export, tmp_path):
    """An export whose store was copied; afterwards Bob opts out, Cid is deleted and Dan comes."""
    export.made = export.create("vip", "gold", existing_users=True)
    export.happen(*(("enter", email, "vip") for email in (ANN, BOB, CID)))
    export.deliver()
    export.context.store.client.set(keys.lease("deliver:x"), "of then")
    export.backup = tmp_path / "backup"
    making.make(export.context.store, export.backup)
    export.act("unsubscribe", BOB)
    export.act("delete", CID)
    export.happen(("enter", DAN, "vip"), ("enter", ANN, "gold"))
    export.deliver()
    return export


@pytest.fixture
def elsewhere(lost, tmp_path):
    """Settings of a new embedded store."""
    return replace(lost.context.settings, redis_url="", data_dir=tmp_path / "new")


def held(export):
    return {email: export.held(email) for email in (ANN, BOB, CID, DAN)}


def test_nothing_is_sent_until_the_list_was_read_and_a_person_says_so(lost, elsewhere):
    before = held(lost)
    assert before == {ANN: ["gold", "vip"], BOB: "Unsubscribed", CID: "Deleted", DAN: ["vip"]}

    found = restoring.restore(elsewhere, lost.backup)

    assert (found.paused, found.manifest.people) == ([lost.made.id], 3)
    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        workflow = registry.get(context.store, lost.made.id)
        assert (workflow.state, workflow.waits_for) == (State.PAUSED, RESTORED)
        assert "was running" in workflow.reason
        assert not context.store.client.exists(keys.lease("deliver:x"))
        assert deliver(context, lost.list.list_id) is None
        with pytest.raises(NotConfirmed, match=f"export reconcile {workflow.id}"):
            service.resume(context, workflow.id, KNOWN)

        result = reconcile(context, workflow.id)
        with pytest.raises(NotConfirmed, match="--acknowledge restored"):
            service.resume(context, workflow.id)
        service.resume(context, workflow.id, KNOWN)
        later = Export(context, lost.server)
        later.folder.run()
        later.happen(*(("enter", email, "gold") for email in (ANN, BOB, CID)))
        deliver(context, lost.list.list_id)
        context.store.client.close()

    assert (result.drift, result.learned) == ({"extra": 2, "missing": 1, "opted_out": 1}, 2)
    assert held(lost) == before


def test_a_new_export_to_a_list_that_was_not_read_since_waits_as_the_old_ones_do(lost, elsewhere):
    before = held(lost)
    restoring.restore(elsewhere, lost.backup)
    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        later = Export(context, lost.server)
        later.folder.run()
        another = later.create("gold", heard=False)
        later.happen(*(("enter", email, "gold") for email in (BOB, CID)))
        deliver(context, lost.list.list_id)
        assert held(lost) == before
        assert (another.state, another.waits_for) == (State.PAUSED, RESTORED)
        with pytest.raises(NotConfirmed, match=f"export reconcile {another.id}"):
            service.resume(context, another.id, KNOWN)
        returning = later.create("bronze", heard=False, resubscribe="always")
        with pytest.raises(NotConfirmed, match=f"export reconcile {returning.id}"):
            service.resume(context, returning.id, Acknowledgement(people=0))
        reconcile(context, another.id)
        service.resume(context, another.id, KNOWN)
        deliver(context, lost.list.list_id)
        assert held(lost) == before
        assert later.create("silver", heard=False).state is State.RUNNING
        context.store.client.close()


def test_a_new_export_waits_too_where_the_old_ones_were_stopped_and_forgotten(lost, elsewhere):
    restoring.restore(elsewhere, lost.backup)
    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        later = Export(context, lost.server)
        later.folder.run()
        service.stop(context, lost.made.id)
        assert later.create("gold", heard=False).waits_for == RESTORED
        service.delete(context, lost.made.id)
        for other in registry.exports_to(context.store, lost.list.list_id):
            service.delete(context, other.id)
        another = later.create("gold", heard=False)
        assert (another.state, another.waits_for) == (State.PAUSED, RESTORED)
        reconcile(context, another.id)
        service.resume(context, another.id, KNOWN)
        deliver(context, lost.list.list_id)
        context.store.client.delete(keys.reconciled(lost.list.list_id))  # as after a month
        assert later.create("silver", heard=False).state is State.RUNNING
        context.store.client.close()


def test_what_had_to_be_confirmed_before_has_to_be_still(lost, elsewhere):
    always = lost.create("gold", heard=False, resubscribe="always")
    making.make(lost.context.store, lost.backup.with_name("another"))
    restoring.restore(elsewhere, lost.backup.with_name("another"))
    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        reconcile(context, always.id)
        with pytest.raises(NotConfirmed, match="--acknowledge restored --confirm-people NUMBER"):
            service.resume(context, always.id, KNOWN)
        with pytest.raises(NotConfirmed, match="--acknowledge restored --confirm-people NUMBER"):
            service.resume(context, always.id)
        number = service.people_to_return(context, always.id)
        said = Acknowledgement(brake=RESTORED, people=number)
        assert service.resume(context, always.id, said).confirmed_at
        context.store.client.close()


def test_what_was_being_read_of_a_list_is_read_from_its_beginning(lost, elsewhere):
    """The pages of before are older than the restore."""
    list_id = lost.list.list_id
    run = findings.Run(id="1", workflow_id=lost.made.id, started_at=1, repair=False, step=3)
    findings.save_run(lost.context.store, list_id, run)
    lost.context.store.client.set(keys.adoption(list_id), "5")
    making.make(lost.context.store, lost.backup.with_name("another"))
    restoring.restore(elsewhere, lost.backup.with_name("another"))
    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        assert not context.store.client.exists(keys.adoption(list_id))
        reconcile(context, lost.made.id)
        assert service.resume(context, lost.made.id, KNOWN).state is State.RUNNING
        context.store.client.close()


def test_a_store_that_is_there_is_not_overwritten(lost, elsewhere):
    with opened(elsewhere) as url:
        redis.Redis.from_url(url).set("lb:mine", "1")
        with pytest.raises(restoring.TargetInUse, match="is running"):
            restoring.restore(elsewhere, lost.backup)
    with pytest.raises(restoring.TargetInUse, match="move it away first"):
        restoring.restore(elsewhere, lost.backup)

    with opened(elsewhere) as url:
        assert redis.Redis.from_url(url).get("lb:mine") == b"1"


def test_a_restore_that_was_cut_off_is_begun_again(lost, elsewhere, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "put_to_rest", die)
        patch.setattr(restoring.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(elsewhere, lost.backup)
    assert not (elsewhere.data_dir / restoring.AOF).exists()

    assert restoring.restore(elsewhere, lost.backup).paused == [lost.made.id]


def test_a_backup_goes_into_a_server_that_is_empty(lost, monkeypatch):
    target = replace(
        lost.context.settings, redis_url=lost.context.settings.redis_url.removesuffix("/0") + "/7"
    )
    client = redis.Redis.from_url(target.redis_url)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "COPIED_AT_ONCE", 1)
        patch.setattr(Copier, "copy", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restoring.restore(target, lost.backup)
    with pytest.raises(Exception, match="being restored"):
        build(target, target.redis_url)

    assert restoring.restore(target, lost.backup).paused == [lost.made.id]

    context = build(target, target.redis_url)
    assert registry.get(context.store, lost.made.id).waits_for == RESTORED
    with pytest.raises(restoring.TargetInUse, match="in use"):
        restoring.restore(target, lost.backup)
    context.store.client.close()
    client.flushdb()
    client.close()


def put_data(backup, data):
    """Let a backup hold other data, as if it had been made with it."""
    made = read(backup)
    (backup / "store.rdb").write_bytes(data)
    sums = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write(backup, msgspec.structs.replace(made, **sums))


def test_data_of_something_else_is_no_store(lost, elsewhere):
    put_data(lost.backup, b"REDIS0011\xff" + bytes(8))
    with pytest.raises(NoBackup, match=r"store\.rdb holds the data of something else"):
        restoring.restore(elsewhere, lost.backup)
    assert not (elsewhere.data_dir / restoring.AOF).exists()


def test_a_backup_of_a_server_of_another_make_is_read(lost, elsewhere):
    """Redis 7.4 and 8 number their format 12 and 13, which Valkey takes for those of nobody it knows."""
    data = (lost.backup / "store.rdb").read_bytes()
    foreign = b"REDIS0012" + data[9:-8] + bytes(8)  # no checksum
    put_data(lost.backup, foreign)

    assert restoring.restore(elsewhere, lost.backup).paused == [lost.made.id]

    with opened(elsewhere) as url:
        context = build(elsewhere, url)
        assert registry.get(context.store, lost.made.id).waits_for == RESTORED
        context.store.client.close()


def test_a_backup_goes_into_a_server_that_takes_no_dumps_of_ours(lost):
    """As one of another make or an older version, which refuse the form of a newer one's dumps."""
    here = lost.context.settings.redis_url
    admin = redis.Redis.from_url(here)
    admin.acl_setuser(
        "other", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], categories=["+@all"]
    )
    admin.execute_command("ACL", "SETUSER", "other", "-restore")
    place = here.rpartition("@")[2].removeprefix("redis://").removesuffix("/0")
    target = replace(lost.context.settings, redis_url=f"redis://other:secret@{place}/8")
    client = redis.Redis.from_url(target.redis_url)
    with pytest.raises(redis.ResponseError):
        client.restore("x", 0, b"")

    assert restoring.restore(target, lost.backup).paused == [lost.made.id]

    context = build(target, target.redis_url)
    assert registry.get(context.store, lost.made.id).waits_for == RESTORED
    assert members(context.store, "vip") == {ANN, BOB, CID}
    context.store.client.close()
    client.flushdb()
    client.close()
    admin.acl_deluser("other")
    admin.close()


def test_a_backup_of_one_server_goes_into_a_cluster_which_gives_none_itself(lost, cluster, tmp_path):
    empty = connect(cluster, lost.context.store.partitions)
    empty.client.flushall()
    target = replace(lost.context.settings, redis_url=cluster)

    assert restoring.restore(target, lost.backup).paused == [lost.made.id]

    context = build(target, cluster)
    assert registry.get(context.store, lost.made.id).waits_for == RESTORED
    assert members(context.store, "vip") == {ANN, BOB, CID}
    with pytest.raises(NoBackup, match=r"a cluster of 3 masters.*BGSAVE"):
        making.make(context.store, tmp_path / "another")
    assert not (tmp_path / "another").exists()
    context.store.client.close()
    empty.client.close()


def test_nothing_of_another_backup_whose_restore_was_cut_off_is_left(lost, tmp_path, monkeypatch):
    target = replace(
        lost.context.settings, redis_url=lost.context.settings.redis_url.removesuffix("/0") + "/6"
    )
    making.make(lost.context.store, tmp_path / "later")
    copy = Copier.copy

    def cut(self, name):
        if name == keys.META.encode():
            raise KeyboardInterrupt
        copy(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Copier, "copy", cut)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(target, tmp_path / "later")

    restoring.restore(target, lost.backup)

    context = build(target, target.redis_url)
    found = {
        each.decode() for part in context.store.parts for each in context.store.client.hkeys(part.profiles)
    }
    context.store.client.flushdb()
    context.store.client.close()
    assert found == {ANN, BOB, CID}


def _cut(directory):
    data = directory / "store.rdb"
    data.write_bytes(data.read_bytes()[:-1])


def _flip(directory):
    data = directory / "store.rdb"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def _of(**changes):
    def change(directory):
        path = directory / "backup.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut, "is damaged"),
        (_flip, "is damaged"),
        (lambda directory: (directory / "backup.json").unlink(), "no whole backup"),
        (lambda directory: (directory / "backup.json").write_text("{"), "is damaged"),
        (lambda directory: (directory / "store.rdb").unlink(), "can't be read"),
        (_of(partitions=4), "set it to 4"),
        (_of(schema=99), "newer"),
        (_of(format=2), "format 2"),
    ],
)
def test_what_is_no_backup_is_refused(lost, elsewhere, damage, words):
    damage(lost.backup)

    with pytest.raises(NoBackup, match=words):
        restoring.restore(elsewhere, lost.backup)

    assert not (elsewhere.data_dir / restoring.AOF).exists()


def test_a_backup_overwrites_nothing(lost):
    with pytest.raises(NoBackup, match="is not empty"):
        making.make(lost.context.store, lost.backup)

    assert read(lost.backup).people == 3


def test_the_commands_say_what_to_do_next(lost, elsewhere, tmp_path, monkeypatch):
    def run(settings, *args):
        for name, value in as_environ(settings).items():
            monkeypatch.setenv(name, value)
        settings_module.current.cache_clear()
        answer = CliRunner().invoke(main, list(args))
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    made = run(lost.context.settings, "backup", str(tmp_path / "other"))
    assert "4 profiles, 1 workflows" in made

    told = run(elsewhere, "restore", str(tmp_path / "other"))

    assert "1 workflows are paused" in told
    assert "export reconcile ID" in told
    settings_module.current.cache_clear()
