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


ADD = "redis.call('INCRBY', KEYS[1], ARGV[1]) return {KEYS[1], #KEYS, #ARGV, ARGV[#ARGV]}"


@pytest.mark.on_one_server
def test_small_calls_are_one_command_and_answer_as_several(store):
    calls = [([part.bell, part.totals][: 1 + n % 2], [n, *range(n)]) for n, part in enumerate(store.parts)]
    several = store.scripts(ADD, calls)
    before = store.client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert store.small_scripts(ADD, calls) == several
    assert store.client.info("commandstats")["cmdstat_evalsha"]["calls"] <= before + 2  # one that is unknown
    assert [int(store.client.get(part.bell)) for part in store.parts] == [2 * n for n in range(16)]
    assert store.small_scripts(ADD, calls[:1]) == several[:1]
    assert store.small_scripts(ADD, []) == []


@pytest.mark.on_one_server
def test_small_calls_end_with_the_first_error(store):
    failing = "if ARGV[1] == '3' then return redis.error_reply('some reason') end "
    calls = [([part.bell], [part.number]) for part in store.parts]

    with pytest.raises(redis.ResponseError, match="some reason"):
        store.small_scripts(failing + ADD, calls)

    assert [store.client.exists(part.bell) for part in store.parts] == [1] * 3 + [0] * 13


@pytest.mark.on_one_server
def test_small_calls_are_several_commands_where_a_server_is_a_whole_cluster(store, monkeypatch):
    refused = redis.exceptions.ClusterCrossSlotError("Keys in request don't hash to the same slot")

    def execute_command(*args, **options):
        if args[0] == "EVALSHA" and args[2] > 1:
            raise refused
        return type(store.client).execute_command(store.client, *args, **options)

    monkeypatch.setattr(store.client, "execute_command", execute_command)
    calls = [([part.bell], [part.number]) for part in store.parts]

    for _ in range(2):
        assert [answer[0] for answer in store.small_scripts(ADD, calls)] == [
            part.bell.encode() for part in store.parts
        ]
    assert not store.one_command


def test_an_error_in_a_script_is_raised(store):
    with pytest.raises(redis.ResponseError, match="some reason"):
        store.scripts("return redis.error_reply('some reason')", [([part.bell], []) for part in store.parts])


def test_a_server_that_is_not_there_is_an_error_after_a_few_tries():
    nowhere = connect("redis://127.0.0.1:1/0", 16, timeout_seconds=0.2)

    with pytest.raises(redis.ConnectionError):
        nowhere.prepare()
    nowhere.client.close()
