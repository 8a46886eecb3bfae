import base64
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import settings as settings_module
from settings import PREFIX, Settings, SettingsError, as_environ, cluster_addresses, load

KEY, OLD_KEY = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def of(**values):
    return load({f"{PREFIX}{name}": value for name, value in values.items()})


def test_without_variables_everything_has_its_default():
    assert load({}) == Settings()
    assert load({"PATH": "/bin", "listbridge_http_port": "x"}) == Settings()


def test_the_store_is_embedded_unless_a_url_is_given():
    assert of().embedded
    assert of(REDIS_URL="").embedded
    assert not of(REDIS_URL="redis://localhost").embedded


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("DATA_DIR", "/srv/data", "data_dir", Path("/srv/data")),
        ("DATA_DIR", "~/data", "data_dir", Path.home() / "data"),
        ("REDIS_URL", "redis://:secret@host:6379/0", "redis_url", "redis://:secret@host:6379/0"),
        ("REDIS_URL", "rediss://host/", "redis_url", "rediss://host"),
        ("REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
        ("REDIS_URL", "redis+cluster://:s@h:1,i:2/", "redis_url", "redis+cluster://:s@h:1,i:2"),
        (
            "BROKER_URL",
            "sentinel://:s@h:1;sentinel://i:2/0?master_name=lb",
            "broker_url",
            "sentinel://:s@h:1;sentinel://i:2/0?master_name=lb",
        ),
        ("BROKER_URL", "amqp://guest:guest@host//", "broker_url", "amqp://guest:guest@host//"),
        (
            "BROKER_URL",
            "amqp://a:5672;amqp://b:5672;amqp://c:5672",
            "broker_url",
            "amqp://a:5672;amqp://b:5672;amqp://c:5672",
        ),
        ("REDIS_PORT", "0", "redis_port", 0),
        ("APPENDFSYNC", "everysec", "appendfsync", "everysec"),
        ("PARTITIONS", " 64 ", "partitions", 64),
        ("HTTP_PORT", "65535", "http_port", 65535),
        ("PUBLIC_URL", "https://listbridge.example.com/", "public_url", "https://listbridge.example.com"),
        ("API_TOKENS", "a" * 16 + " , " + "b" * 20 + ",", "api_tokens", ("a" * 16, "b" * 20)),
        ("ENCRYPTION_KEYS", f"{KEY},{OLD_KEY}", "encryption_keys", (KEY, OLD_KEY)),
        ("API_CONNECT_TIMEOUT_SECONDS", "0.5", "api_connect_timeout_seconds", 0.5),
        ("API_ACCOUNT_CALLS_IN_FLIGHT", "64", "api_account_calls_in_flight", 64),
        ("API_CALLS_PER_SECOND", "2.5", "api_calls_per_second", 2.5),
        ("API_LEAST_CALLS_PER_SECOND", "0.05", "api_least_calls_per_second", 0.05),
        ("FLUSH_MILLISECONDS", "0", "flush_milliseconds", 0),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
    ],
)
def test_a_right_value_is_taken(name, text, field, value):
    assert getattr(of(**{name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("DATA_DIR", "", "a directory path"),
        ("DATA_DIR", "~no-such-user-here/x", "a directory path"),
        ("REDIS_PORT", "65536", "a port from 1 to 65535, or 0 for any free one"),
        ("APPENDFSYNC", "no", "always or everysec"),
        ("PARTITIONS", "0", "a whole number from 1 to 1024"),
        ("PARTITIONS", "16.0", "a whole number from 1 to 1024"),
        ("HTTP_PORT", "0", "a port from 1 to 65535"),
        ("HTTP_PORT", "http", "a port from 1 to 65535"),
        ("HTTP_PORT", "", "a port from 1 to 65535"),
        ("PUBLIC_URL", "listbridge.example.com", "the http(s):// address at which Campaign Monitor reaches"),
        ("PUBLIC_URL", "http:///x", "the http(s):// address at which Campaign Monitor reaches"),
        ("MAX_BODY_BYTES", "5MB", "a number of bytes from 1024 to 1073741824"),
        ("API_BASE_URL", "ftp://example.com", "the http(s):// address of the Campaign Monitor API"),
        ("API_BASE_URL", "https://example.com:port", "the http(s):// address of the Campaign Monitor API"),
        ("API_CONNECT_TIMEOUT_SECONDS", "0", "seconds from 0.1 to 60"),
        ("API_CONNECT_TIMEOUT_SECONDS", "nan", "seconds from 0.1 to 60"),
        ("API_ACCOUNT_CALLS_IN_FLIGHT", "0", "a whole number from 1 to 256"),
        ("API_CALLS_PER_SECOND", "0", "calls a second from 0.01 to 10000"),
        ("API_LEAST_CALLS_PER_SECOND", "nan", "calls a second from 0.01 to 100"),
        ("API_READ_TIMEOUT_SECONDS", "inf", "seconds from 0.1 to 600"),
        ("API_CALLS_IN_FLIGHT", "33", "a whole number from 1 to 32"),
        ("FLUSH_MILLISECONDS", "-1", "milliseconds from 0 to 60000"),
        ("SWEEP_SECONDS", "1e9", "seconds from 0.2 to 300"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_holds_and_what_it_should(name, text, expected):
    with pytest.raises(SettingsError) as caught:
        of(**{name: text})

    assert str(caught.value).startswith(f"{PREFIX}{name} holds {text!r}; it should be {expected}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_URL", "http://:hunter2@host"),
        ("REDIS_URL", "redis://:hunter2@"),
        ("REDIS_URL", "redis://:hunter2@host:port"),
        ("REDIS_URL", "redis:///hunter2"),
        ("REDIS_URL", "redis+cluster://:hunter2@h:7000,"),
        ("REDIS_URL", "redis+cluster://:hunter2@h:7000,i:x"),
        ("REDIS_URL", "redis+cluster://:hunter2@h:7000/1"),
        ("REDIS_URL", "unix+cluster://:hunter2@h"),
        ("BROKER_URL", "kafka://:hunter2@host"),
        ("BROKER_URL", "redis+cluster://:hunter2@h:7000"),
        ("BROKER_URL", "sentinel://:hunter2@h:26379"),
        ("BROKER_URL", "sentinel://:hunter2@h:26379?master_name="),
        ("BROKER_URL", "redis://:hunter2@h;sentinel://h:26379?master_name=lb"),
        ("BROKER_URL", "amqp://host;http://:hunter2@host"),
        ("API_TOKENS", "hunter2"),
        ("API_TOKENS", "a" * 16 + ",hunter2"),
        ("ENCRYPTION_KEYS", "hunter2"),
        ("ENCRYPTION_KEYS", f"{KEY},hunter2"),
    ],
)
def test_a_wrong_secret_is_named_without_being_shown(name, text):
    with pytest.raises(SettingsError) as caught:
        of(**{name: text})

    assert str(caught.value).startswith(f"{PREFIX}{name} holds ********; it should be ")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["API_BASE_URL", "PUBLIC_URL"])
def test_a_key_that_was_put_into_an_address_is_not_shown(name):
    with pytest.raises(SettingsError) as caught:
        of(**{name: "https://0123456789abcdef:x@api.createsend.com/api/v3.3"})
    assert str(caught.value).startswith(f"{PREFIX}{name} holds ********; it should be ")


def test_a_secret_comes_from_a_file_of_its_own(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("a-token-of-sixteen\n  another-of-sixteen,\n\n")
    assert of(API_TOKENS_FILE=str(path)).api_tokens == ("a-token-of-sixteen", "another-of-sixteen")
    path.write_text("redis://:p,w@host/0\n")
    assert of(REDIS_URL_FILE=str(path)).redis_url == "redis://:p,w@host/0"


def test_every_secret_may_come_from_a_file_and_nothing_else(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hunter2")
    for name in settings_module.SECRETS:
        with pytest.raises(SettingsError, match=rf"LISTBRIDGE_{name} holds \*+; it should be"):
            of(**{f"{name}_FILE": str(path)})
    with pytest.raises(SettingsError, match="HTTP_PORT_FILE is not a setting"):
        of(HTTP_PORT_FILE=str(path))


@pytest.mark.parametrize("text", ["", "\n", " \n,\n"])
def test_a_file_of_a_secret_that_is_empty_is_no_setting_left_out(tmp_path, text):
    """An empty LISTBRIDGE_REDIS_URL_FILE would otherwise take the embedded store."""
    path = tmp_path / "secret"
    path.write_text(text)
    for name in settings_module.SECRETS:
        with pytest.raises(SettingsError, match=rf"LISTBRIDGE_{name}_FILE holds '{path}', which is empty"):
            of(**{f"{name}_FILE": str(path)})


def test_children_read_the_same_settings_though_a_secret_came_from_a_file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("a-token-of-sixteen")
    environ = {f"{PREFIX}API_TOKENS_FILE": str(path)}
    assert load(environ | as_environ(load(environ))) == load(environ)


def test_a_secret_in_a_file_that_is_wrong_is_not_shown(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("hunter2")
    with pytest.raises(SettingsError) as caught:
        of(API_TOKENS_FILE=str(path))
    assert str(caught.value).startswith("LISTBRIDGE_API_TOKENS holds ********")


def test_a_secret_is_given_once_and_its_file_must_be_there(tmp_path):
    path = tmp_path / "tokens"
    with pytest.raises(SettingsError, match=r"API_TOKENS_FILE holds .* can't be read: No such file"):
        of(API_TOKENS_FILE=str(path))
    path.write_text("a-token-of-sixteen")
    with pytest.raises(SettingsError, match="are both set; keep one"):
        of(API_TOKENS_FILE=str(path), API_TOKENS="another-of-sixteen")


@pytest.mark.parametrize("text", ["sha256:" + "a" * 63, "sha256:" + "g" * 64, "sha256:" + "ab" * 31])
def test_a_sum_of_a_token_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match="or sha256: and the sum"):
        of(API_TOKENS=text)


def test_the_text_of_the_settings_holds_no_secret():
    given = of(
        REDIS_URL="redis://:hunter2@host",
        BROKER_URL="amqp://u:hunter2@host",
        API_TOKENS="hunter2-hunter2-hunter2",
        ENCRYPTION_KEYS=KEY,
    )

    assert "hunter2" not in repr(given)
    assert KEY not in repr(given)


def test_an_unknown_variable_is_refused_with_those_that_are_known():
    with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PROT is not a setting") as caught:
        of(HTTP_PROT="80")

    assert all(f"{field.name.upper()}" in str(caught.value) for field in fields(Settings))


def test_every_setting_has_a_rule_and_every_rule_a_setting():
    assert set(settings_module._RULES) == {field.name.upper() for field in fields(Settings)}
    assert settings_module._RULES.keys() >= settings_module.SECRETS


def test_every_default_obeys_its_rule():
    assert load(as_environ(Settings())) == Settings()


def test_a_child_process_reads_the_same_settings():
    given = of(
        DATA_DIR="/srv/a b",
        REDIS_URL="redis://:p%40ss@host:6380/2",
        BROKER_URL="amqp://a:1;amqp://b:2",
        PARTITIONS="3",
        API_TOKENS=f"{'a' * 16},{'b' * 16}",
        ENCRYPTION_KEYS=f"{KEY},{OLD_KEY}",
        SWEEP_SECONDS="0.25",
        MAPPINGS_DIR="/srv/mappings",
    )

    assert load(as_environ(given)) == given


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    path = tmp_path / "some.env"
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(f"{PREFIX}ENV_FILE", str(path))
    return path


def test_values_come_from_the_file_and_the_environment_wins(env_file, monkeypatch):
    env_file.write_text(
        "# a comment\n"
        "LISTBRIDGE_HTTP_PORT=1234\n"
        "LISTBRIDGE_PARTITIONS='8'\n"
        "export OTHER=1\n"
        "LISTBRIDGE_REDIS_URL\n"
    )
    monkeypatch.setenv("LISTBRIDGE_HTTP_PORT", "4321")

    given = load()

    assert (given.http_port, given.partitions, given.redis_url) == (4321, 8, "")


def test_a_file_that_is_named_must_be_there(env_file):
    with pytest.raises(SettingsError, match=r"LISTBRIDGE_ENV_FILE holds .*there is no such file"):
        load()


def test_a_file_that_is_to_be_made_holds_nothing(env_file):
    assert load(env_file=env_file) == Settings()


def test_a_file_that_is_no_text_is_named(env_file):
    env_file.write_bytes(b"LISTBRIDGE_HTTP_PORT=\xff\n")
    with pytest.raises(SettingsError, match="can't be read"):
        load()


@pytest.mark.parametrize("line", ["LISTBRIDGE_HTTP_PORT 8081", "LISTBRIDGE_HTTP_PORT: 8081", "= 5"])
def test_a_line_that_sets_nothing_is_named_and_not_shown(env_file, line):
    env_file.write_text(f"# mine\n\nOTHER\nexport LISTBRIDGE_LOG_LEVEL=INFO\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 5.* is not NAME=value") as refused:
        load()
    assert "8081" not in str(refused.value)


def test_what_is_wrong_in_the_file_is_named(env_file):
    env_file.write_text("LISTBRIDGE_HTTP_PORT=x\n")

    with pytest.raises(SettingsError, match="LISTBRIDGE_HTTP_PORT holds 'x'"):
        load()


def test_the_file_is_looked_for_where_the_process_runs(tmp_path):
    (tmp_path / "listbridge.env").write_text("LISTBRIDGE_HTTP_PORT=1234\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    code = "import settings; print(settings.current().http_port, settings.current() is settings.current())"

    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )

    assert shown.stdout == "1234 True\n"


def test_the_nodes_of_a_cluster_share_the_login_and_the_options():
    found = cluster_addresses("rediss+cluster://u:p%40s@a:7000,b:7001/0?ssl_cert_reqs=none")

    assert found == (
        "rediss://u:p%40s@a:7000?ssl_cert_reqs=none",
        "rediss://u:p%40s@b:7001?ssl_cert_reqs=none",
    )
