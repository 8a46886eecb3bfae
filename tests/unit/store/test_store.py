import pytest
import redis

from listbridge.store import keys
from listbridge.store.store import Store, StoreError, connect


def test_a_new_store_remembers_how_it_was_made(fake_store):
    assert fake_store.client.hgetall(keys.META) == {b"schema": b"2", b"partitions": b"16"}


def test_a_store_can_be_prepared_again_and_again(fake_store):
    fake_store.prepare()
    Store(fake_store.client, 16).prepare()


def test_a_store_with_another_number_of_partitions_is_refused(fake_store):
    with pytest.raises(
        StoreError, match="created with 16 partitions and LISTBRIDGE_PARTITIONS is 8; set it to 16"
    ):
        Store(fake_store.client, 8).prepare()

    assert fake_store.client.hget(keys.META, "partitions") == b"16"


def test_each_person_has_a_partition(fake_store):
    found = {fake_store.part(f"person{n}@example.com").number for n in range(2000)}

    assert found == set(range(16))
    assert fake_store.part("ann@x.se") is fake_store.parts[fake_store.part("ann@x.se").number]


def test_scripts_answer_in_the_order_of_the_calls(store):
    calls = [([part.bell], [part.number]) for part in store.parts]

    assert store.scripts("return ARGV[1]", calls) == [b"%d" % n for n in range(16)]
    assert store.scripts("return ARGV[1]", calls[:1]) == [b"0"]
    assert store.scripts("return ARGV[1]", []) == []


def test_a_script_that_the_server_forgot_is_loaded_again(store):
    calls = [([part.bell], []) for part in store.parts]
    for some in (calls, calls[:1]):
        assert set(store.scripts("return 7", some)) == {7}
        store.client.script_flush()
        assert set(store.scripts("return 7", some)) == {7}


def test_a_server_that_starts_anew_in_the_middle_of_a_pipeline_is_no_error(store, monkeypatch):
    calls = [([part.bell], []) for part in store.parts]
    store.scripts("return 8", calls)
    load, restarts = redis.client.Pipeline.load_scripts, iter([True])

    def load_and_forget(pipeline):
        load(pipeline)
        if next(restarts, False):
            store.client.script_flush()

    monkeypatch.setattr(redis.client.Pipeline, "load_scripts", load_and_forget)
    assert set(store.scripts("return 8", calls)) == {8}


def test_an_error_in_a_script_is_raised(store):
    with pytest.raises(redis.ResponseError, match="some reason"):
        store.scripts("return redis.error_reply('some reason')", [([part.bell], []) for part in store.parts])


def test_a_server_that_is_not_there_is_an_error_after_a_few_tries():
    nowhere = connect("redis://127.0.0.1:1/0", 16, timeout_seconds=0.2)

    with pytest.raises(redis.ConnectionError):
        nowhere.prepare()
    nowhere.client.close()
