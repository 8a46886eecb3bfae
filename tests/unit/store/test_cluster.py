"""The client of a cluster, on three masters: what goes to several of them, and masters that are gone."""

import socket
import threading
import time

import pytest
import redis
from redis.cluster import ClusterPipeline
from redis.exceptions import ClusterDownError

from listbridge.store.local_cluster import LocalCluster
from listbridge.store.store import StoreError, connect

SET = "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]"
ADD = "return redis.call('SADD', KEYS[1], ARGV[1])"


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    with LocalCluster(tmp_path_factory.mktemp("masters")) as cluster:
        yield cluster


@pytest.fixture
def clustered(masters):
    store = connect(masters.url, 16)
    store.client.flushall()
    yield store
    store.client.close()


def test_the_partitions_are_spread_over_the_masters(clustered):
    held = [clustered.cluster.get_node_from_key(part.version).name for part in clustered.parts]

    assert sorted(held.count(name) for name in set(held)) == [5, 5, 6]


def test_scripts_for_all_partitions_answer_in_their_order(clustered):
    calls = [([part.version], [part.number]) for part in reversed(clustered.parts)]

    assert clustered.scripts(SET, calls) == [str(part.number).encode() for part in reversed(clustered.parts)]


def test_a_script_that_no_master_knows_any_more_is_sent_again(clustered):
    calls = [([part.version], [part.number]) for part in clustered.parts]
    clustered.scripts(SET, calls)
    for server in clustered.servers[1:]:
        server.script_flush()

    assert clustered.scripts(SET, calls) == [str(part.number).encode() for part in clustered.parts]
    assert clustered.script(SET, [clustered.parts[-1].version], ["x"]) == b"x"


def test_what_has_run_is_not_run_again_because_another_master_forgot_the_script(clustered):
    calls = [([part.version], [part.number]) for part in clustered.parts]
    assert clustered.scripts(ADD, calls) == [1] * 16
    for forgetful in clustered.servers:
        clustered.client.flushall()
        forgetful.script_flush()

        assert clustered.scripts(ADD, calls) == [1] * 16


def test_an_error_of_one_call_is_raised_where_another_master_forgot_the_script(clustered):
    calls = [([part.version], [part.number]) for part in clustered.parts]
    clustered.scripts(ADD, calls)
    clustered.client.flushall()
    clustered.servers[0].script_flush()
    wrong = next(
        part
        for part in clustered.parts
        if clustered.cluster.get_node_from_key(part.version).redis_connection is not clustered.servers[0]
    )
    clustered.client.set(wrong.version, "x")

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        clustered.scripts(ADD, calls)


def test_a_pipeline_over_all_masters_answers_in_its_order(clustered):
    pipe = clustered.client.pipeline(transaction=False)
    for part in clustered.parts:
        pipe.set(part.version, part.number)
        pipe.get(part.version)

    assert pipe.execute()[1::2] == [str(part.number).encode() for part in clustered.parts]


def test_an_error_in_a_pipeline_does_not_show_what_was_sent(clustered):
    name = clustered.parts[7].version
    clustered.client.set(name, "x")
    pipe = clustered.client.pipeline(transaction=False)
    pipe.hset(name, "ann@example.com", 1)
    pipe.get(clustered.parts[1].version)

    with pytest.raises(redis.ResponseError) as caught:
        pipe.execute()
    assert "ann@example.com" not in str(caught.value)


def test_a_closed_client_leaves_no_connection_open(masters):
    store = connect(masters.url, 16)
    store.scripts(SET, [([part.version], [part.number]) for part in store.parts])
    pools = [server.connection_pool for server in store.servers]
    held = [each for pool in pools for each in pool._available_connections]

    store.client.close()

    assert len(held) >= 3
    assert not any(each.is_connected for each in held)


def test_every_key_of_every_master_is_found(clustered):
    for part in clustered.parts:
        clustered.client.sadd(part.audience("vip"), "ann")

    assert set(clustered.client.scan_iter(match="lb:{*}:audience:*")) == {
        part.audience("vip").encode() for part in clustered.parts
    }


def test_a_slot_that_has_moved_is_followed(clustered):
    """The map of slots is wrong for a while after others have moved one."""
    cluster = clustered.cluster
    first, other = clustered.parts[0].version, cluster.get_node_from_key(clustered.parts[-1].version)
    cluster.nodes_manager.slots_cache[cluster.keyslot(first)] = [other]
    assert clustered.scripts(SET, [([part.version], ["1"]) for part in clustered.parts]) == [b"1"] * 16

    cluster.nodes_manager.slots_cache[cluster.keyslot(first)] = [other]
    assert clustered.script(SET, [first], ["2"]) == b"2"


def test_transactions_are_refused(clustered):
    with pytest.raises(ValueError, match="use a script"):
        clustered.client.pipeline(transaction=True)


def test_one_node_taken_for_a_server_is_told_from_a_cluster(masters):
    url = masters.url.replace("redis+cluster", "redis").split(",")[0]
    alone = connect(url, 16)

    with pytest.raises(StoreError, match=r"one node of a cluster.*redis\+cluster://"):
        alone.prepare()
    alone.client.close()


def test_a_server_taken_for_a_cluster_is_told_from_one(one_server):
    url = one_server.replace("redis:", "redis+cluster:").removesuffix("/0")

    with pytest.raises(StoreError, match="no node of a cluster: write redis://"):
        connect(url, 16)


def test_masters_that_nobody_reaches_are_an_error_of_the_connection():
    with pytest.raises(redis.ConnectionError):
        connect("redis+cluster://127.0.0.1:1,127.0.0.1:2", 16, timeout_seconds=0.2)


def test_a_cluster_behind_tls_is_spoken_to_in_tls():
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = []

        def answer():
            client, _ = server.accept()
            with client:
                first.append(client.recv(2))

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(redis.ConnectionError):
            connect(f"rediss+cluster://:p@127.0.0.1:{server.getsockname()[1]}", 16, timeout_seconds=5)
        thread.join()

    assert first == [b"\x16\x03"]  # a handshake, of TLS


def test_what_a_dead_master_would_hold_is_an_error_and_the_rest_goes_on(masters, clustered):
    impatient = connect(masters.url, 16, retries=1)
    masters.kill(1)
    try:
        with pytest.raises(redis.RedisError):
            impatient.scripts(SET, [([part.version], ["1"]) for part in impatient.parts])
        with pytest.raises(redis.RedisError):
            impatient.ping()
    finally:
        masters.restart(1)
        masters.wait_until_whole()
        impatient.client.close()
    clustered.ping()


def test_scripts_are_sent_again_while_a_master_is_away(clustered, monkeypatch):
    away = [ClusterDownError("the cluster is down"), redis.ConnectionError("cut")]
    execute = ClusterPipeline.execute

    def without_one(pipe, raise_on_error=True):
        answers = execute(pipe, raise_on_error)
        return [away.pop(), *answers[1:]] if away else answers

    monkeypatch.setattr(ClusterPipeline, "execute", without_one)
    calls = [([part.version], [part.number]) for part in clustered.parts]

    assert clustered.scripts(SET, calls) == [str(part.number).encode() for part in clustered.parts]
    assert not away


def test_a_master_that_is_killed_and_started_again_loses_nothing_that_was_answered(masters):
    """Several write all the time; a call that failed is repeated by its caller, as all of ours are."""
    over, answered, problems = threading.Event(), [set() for _ in range(3)], []

    def write(worker):
        store = connect(masters.url, 16, retries=2)
        at = 0
        while not over.is_set():
            calls = [([part.audience("load")], [f"{worker}-{at}"]) for part in store.parts]
            try:
                store.scripts(ADD, calls)
            except redis.RedisError as error:
                problems.append(type(error).__name__)
                continue
            answered[worker].add(f"{worker}-{at}".encode())
            at += 1
        store.client.close()

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    masters.kill(2)
    time.sleep(0.2)
    before = sum(map(len, answered))
    masters.restart(2)
    masters.wait_until_whole()
    time.sleep(0.3)
    over.set()
    for thread in threads:
        thread.join()

    assert sum(map(len, answered)) > before, problems[-1:]
    store = connect(masters.url, 16)
    for part in store.parts:
        assert set().union(*answered) <= store.client.smembers(part.audience("load"))
    store.client.close()
