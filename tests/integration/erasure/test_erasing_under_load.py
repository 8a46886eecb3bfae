"""People are erased while others append, fold and archive: nobody else loses or doubles an event."""

import threading
import time

import pytest
from test_erasing import MONDAY, is_named, opened, view

from listbridge.aggregation.fold import Folder
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.storage import LocalStorage
from listbridge.erasure.erasing import Eraser
from listbridge.jobs.rebuild import rebuild
from listbridge.store.store import connect
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY

SECONDS = 3.0
STAYING = [f"stays{n}@example.com" for n in range(12)]
LEAVING = [f"leaves{n}@example.com" for n in range(3)]


@pytest.fixture
def archive_at(context):
    """Makes an archive for a thread of its own, on one directory."""
    made = []

    def make():
        store = connect(context.settings.redis_url, context.store.partitions)
        made.append(store)
        return Archive(store, LocalStorage(context.settings.data_dir / "archive"))

    yield make
    for store in made:
        store.client.close()


def test_everybody_else_keeps_each_event_once(context, archive_at):
    over, problems, sent = threading.Event(), [], dict.fromkeys(STAYING, 0)

    def repeatedly(work):
        def run():
            archive = archive_at()
            try:
                while not over.is_set():
                    work(archive)
            except BaseException as problem:
                problems.append(problem)
                raise

        return threading.Thread(target=run, daemon=True)

    def send(archive):
        number = max(sent.values())
        append(archive.store, [opened(each, number) for each in STAYING + LEAVING])
        for each in STAYING:
            sent[each] += 1
        time.sleep(0.02)

    def fold(archive):
        if not Folder(archive.store, context.programs, archive).run(seconds=0.5).events:
            time.sleep(0.01)

    def keep(archive):
        run_pass(archive, context.program.streams)
        time.sleep(0.3)

    threads = [repeatedly(work) for work in (send, fold, keep)]
    for thread in threads:
        thread.start()
    eraser = Eraser(archive_at(), context.programs)
    began = time.monotonic()
    erased = 0
    while time.monotonic() < began + SECONDS or erased < len(LEAVING):
        assert eraser.erase(LEAVING[erased % len(LEAVING)]).complete
        erased += 1
    over.set()
    for thread in threads:
        thread.join()
    assert not problems
    assert min(sent.values()) > 10
    Folder(context.store, context.programs, context.archive).run()
    assert [each for each in LEAVING if is_named(context, each)] == []
    right = {each: sent[each] for each in STAYING}
    assert {each: view(context, each)["fields"]["cm_openct"] for each in STAYING} == right
    run_pass(context.archive, context.program.streams)
    rebuild(context)
    assert {each: view(context, each)["fields"]["cm_openct"] for each in STAYING} == right
    kept = sum(context.archive.snapshot(CM_ACTIVITY, part).events for part in context.store.parts)
    assert kept == sum(right.values())
    assert append(context.store, [opened(each, 0, MONDAY) for each in LEAVING]).accepted == 0
