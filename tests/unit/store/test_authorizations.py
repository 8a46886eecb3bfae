import pytest
from cryptography.fernet import Fernet

from listbridge import authorizations
from listbridge.authorizations import NoSuchAuthorization
from listbridge.secrets import NoEncryptionKey, Secrets, WrongEncryptionKey
from listbridge.store import keys

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def box():
    return Secrets([NEW])


def create(store, box, secret="the API key", description="Acme"):
    return authorizations.create(
        store, box, secret=secret, description=description, base_url="https://api.example.com"
    )


def test_an_authorization_is_found_by_its_id(fake_store, box):
    made = create(fake_store, box)

    assert authorizations.get(fake_store, made.id) == made
    assert box.decrypt(made.secret) == "the API key"
    assert (made.kind, made.description) == ("campaign_monitor", "Acme")


def test_the_secret_is_neither_stored_nor_shown_in_clear(fake_store, box):
    made = create(fake_store, box)

    assert b"the API key" not in fake_store.client.get(keys.authorization(made.id))
    assert "secret" not in made.public()
    assert made.public().keys() == {"id", "kind", "credential", "description", "base_url", "created_at"}


def test_authorizations_are_listed_oldest_first(fake_store, box):
    made = [create(fake_store, box, description=str(n)) for n in range(5)]

    assert authorizations.list_all(fake_store) == sorted(made, key=lambda a: (a.created_at, a.id))


def test_a_deleted_authorization_is_gone(fake_store, box):
    made, kept = create(fake_store, box), create(fake_store, box)

    authorizations.delete(fake_store, made.id)

    assert authorizations.list_all(fake_store) == [kept]
    with pytest.raises(NoSuchAuthorization, match=made.id):
        authorizations.get(fake_store, made.id)
    with pytest.raises(NoSuchAuthorization):
        authorizations.delete(fake_store, made.id)


@pytest.mark.parametrize(
    ("command", "act"),
    [
        ("set", lambda store, _: create(store, Secrets([NEW]))),
        ("srem", lambda store, held: authorizations.delete(store, held.id)),
    ],
)
def test_a_kill_between_the_two_writes_leaves_no_credential_that_no_list_shows(
    fake_store, box, command, act, monkeypatch
):
    made = create(fake_store, box)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fake_store.client, command, killed)
        with pytest.raises(KeyboardInterrupt):
            act(fake_store, made)

    held = {key.decode() for key in fake_store.client.scan_iter(match=keys.authorization("*"))}
    assert held == {keys.authorization(each.id) for each in authorizations.list_all(fake_store)}


def test_without_a_key_nothing_is_stored(fake_store):
    with pytest.raises(NoEncryptionKey, match="LISTBRIDGE_ENCRYPTION_KEYS"):
        create(fake_store, Secrets([]))

    assert authorizations.list_all(fake_store) == []


def test_a_key_can_be_replaced_while_the_old_one_is_still_listed(box):
    token = Secrets([OLD]).encrypt("secret")

    assert Secrets([NEW, OLD]).decrypt(token) == "secret"
    assert box.decrypt(Secrets([NEW, OLD]).encrypt("secret")) == "secret"
    with pytest.raises(WrongEncryptionKey, match="LISTBRIDGE_ENCRYPTION_KEYS"):
        box.decrypt(token)


def test_what_was_not_encrypted_by_us_is_refused(box):
    with pytest.raises(WrongEncryptionKey):
        box.decrypt("in clear")
