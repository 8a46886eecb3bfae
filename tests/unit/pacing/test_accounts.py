import pytest

from listbridge.pacing.accounts import account_of, join, name_of
from listbridge.store import keys

URL = "https://api.example.com"


@pytest.fixture(params=["store", "fake_store"])
def any_store(request):
    return request.getfixturevalue(request.param)


def test_a_credential_stands_for_itself_until_more_is_known(any_store):
    assert account_of(any_store, "key") == "key"


def test_credentials_that_work_on_one_client_are_of_one_account(any_store):
    join(any_store, "account key", "client 1")
    join(any_store, "account key", "client 2")
    assert join(any_store, "key of client 2", "client 2") == account_of(any_store, "account key")
    join(any_store, "other key", "client 3")

    one = account_of(any_store, "account key")
    assert account_of(any_store, "key of client 2") == account_of(any_store, "client 1") == one
    assert account_of(any_store, "other key") != one


def test_joining_again_changes_nothing(any_store):
    for _ in range(3):
        join(any_store, "a", "1")
        join(any_store, "b", "1")
        join(any_store, "b", "2")
        join(any_store, "a", "2")

    assert len({account_of(any_store, each) for each in ("a", "b", "1", "2")}) == 1


def test_names_hide_the_key_and_tell_services_apart(any_store):
    key = "0123456789abcdef" * 2

    assert name_of(URL, key) == name_of(URL, key)
    assert name_of(URL, key) != name_of(URL + "/v2", key)
    join(any_store, name_of(URL, key), name_of(URL, "client"))
    held = any_store.client.hgetall(keys.ACCOUNTS)
    assert key.encode() not in b" ".join([*held, *held.values()])
