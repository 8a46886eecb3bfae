"""Every setting, read from the environment once and validated at start.

A variable is named `LISTBRIDGE_<FIELD>`. Values also come from the file that
`LISTBRIDGE_ENV_FILE` names (default `listbridge.env`), which `listbridge init` writes; the
environment wins. A wrong value stops the process with `SettingsError`, which says which variable,
what it holds (secrets masked) and what it should hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

PREFIX = "LISTBRIDGE_"
DEFAULT_ENV_FILE = "listbridge.env"
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Scheme of a cluster's URL -> that of one of its nodes."""
SECRETS = {"REDIS_URL", "BROKER_URL", "API_TOKENS", "METRICS_TOKENS", "ENCRYPTION_KEYS", "ARCHIVE_URL"}


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what it should be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process. Durations carry their unit in the name; its text holds no secret."""

    data_dir: Path = Path("listbridge-data")
    redis_url: str = field(default="", repr=False)
    broker_url: str = field(default="", repr=False)
    redis_port: int = 0
    appendfsync: str = "always"
    partitions: int = 16

    http_host: str = "127.0.0.1"
    http_port: int = 8080
    public_url: str = ""
    max_body_bytes: int = 5 * 1024 * 1024
    api_tokens: tuple[str, ...] = field(default=(), repr=False)
    metrics_tokens: tuple[str, ...] = field(default=(), repr=False)
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)

    api_base_url: str = "https://api.createsend.com/api/v3.3"
    api_connect_timeout_seconds: float = 5.0
    api_read_timeout_seconds: float = 120.0
    api_calls_in_flight: int = 4
    api_account_calls_in_flight: int = 16
    api_calls_per_second: float = 500.0
    api_least_calls_per_second: float = 0.2

    flush_milliseconds: int = 300
    sweep_seconds: float = 2.0
    mappings_dir: str = ""
    rebuild_memory_mb: int = 512
    archive_url: str = field(default="", repr=False)
    archive_seconds: float = 60.0
    stream_limit_events: int = 10_000_000
    log_level: str = "INFO"

    @property
    def embedded(self) -> bool:
        """True when Listbridge runs its own Valkey because no URL was given."""
        return not self.redis_url


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    if not value:
        raise ValueError
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError from error


def _list(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError
        return value

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value:
            _check_url(value, schemes)
        return value.rstrip("/")

    return parse


def check_web_url(value: str) -> None:
    """Raises ValueError for what is not a plain http(s) address: no password, query or fragment in it."""
    parts = urlsplit(value)
    _check_url(value, ("http", "https"))
    if parts.username is not None or parts.query or parts.fragment or not value.isascii():
        raise ValueError


def _web_url(value: str) -> str:
    if value:
        check_web_url(value)
    return value.rstrip("/")


def _address(value: str) -> str:
    """An IP address: what the web server binds to."""
    return str(ip_address("127.0.0.1" if value == "localhost" else value))


def is_cluster(url: str) -> bool:
    """Is it the URL of a cluster: `redis+cluster://` or `rediss+cluster://`?"""
    return urlsplit(url).scheme in CLUSTER_SCHEMES


def cluster_addresses(url: str) -> tuple[str, ...]:
    """The URLs of the nodes that `redis+cluster://[user:password@]host:port,host:port[?options]` names.

    Any of them will do to find the others. Raises ValueError.
    """
    parts = urlsplit(url)
    scheme = CLUSTER_SCHEMES[parts.scheme]
    login, at, places = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    if parts.path.strip("/0"):
        raise ValueError  # a cluster has no other database
    found = tuple(f"{scheme}://{login}{at}{place}{query}" for place in places.split(","))
    for each in found:
        _check_url(each, (scheme,))
    return found


def _store(value: str) -> str:
    if value and is_cluster(value):
        cluster_addresses(value)
        return value.rstrip("/")
    return _url("redis", "rediss", "unix")(value)


def _check_url(value: str, schemes: tuple[str, ...]) -> None:
    parts = urlsplit(value)
    if any(letter.isspace() for letter in value):
        raise ValueError
    place = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in schemes or not place:
        raise ValueError
    _ = parts.port  # raises ValueError when it is no port


def _archive(value: str) -> str:
    """A URL of a storage; which schemes there are is known when it is opened."""
    parts = urlsplit(value)
    if value and (not parts.scheme or "://" not in value or not (parts.netloc or parts.path.strip("/"))):
        raise ValueError
    if parts.query or parts.fragment or any(not letter.isprintable() for letter in value):
        raise ValueError
    return value.rstrip("/")


def _broker(value: str) -> str:
    """One URL, or several by semicolons, as Celery takes them for a broker and its stand-ins.

    Sentinels say with `?master_name=NAME` whose address they are asked for; it's no option of one alone.
    """
    urls = value.split(";") if value else []
    for url in urls:
        _check_url(url, ("redis", "rediss", "sentinel", "amqp", "amqps"))
    sentinels = [urlsplit(url) for url in urls if url.startswith("sentinel:")]
    if sentinels and (
        len(sentinels) < len(urls) or not any(parse_qs(each.query).get("master_name") for each in sentinels)
    ):
        raise ValueError
    return value


def _fernet_keys(value: str) -> tuple[str, ...]:
    keys = _list(value)
    for key in keys:
        Fernet(key)
    return keys


HASHED = "sha256:"
"""What a token begins with that is given as the SHA-256 sum (hex) of the real one."""


def _tokens(value: str) -> tuple[str, ...]:
    tokens = _list(value)
    if any(len(token) < 16 or not token.isascii() for token in tokens):
        raise ValueError
    for token in tokens:
        if token.startswith(HASHED) and len(bytes.fromhex(token.removeprefix(HASHED))) != 32:
            raise ValueError
    return tokens


_TOKENS = "tokens of at least 16 characters, or sha256: and the sum of one in hex, separated by commas"
_RULES: dict[str, tuple[Callable[[str], Any], str]] = {
    "DATA_DIR": (_path, "a directory path"),
    "REDIS_URL": (
        _store,
        "redis://, rediss:// or unix:// and a server, redis+cluster:// or rediss+cluster:// and nodes as "
        "host:port by commas, or empty for the embedded one",
    ),
    "BROKER_URL": (
        _broker,
        "redis://, rediss:// or amqp:// and a server (no cluster, which Celery can't use), or sentinel:// "
        "and sentinels by semicolons with ?master_name=, or empty for database 1 of the store (one server)",
    ),
    "REDIS_PORT": (_integer(0, 65535), "a port from 1 to 65535, or 0 for any free one"),
    "APPENDFSYNC": (_one_of("always", "everysec"), "always or everysec"),
    "PARTITIONS": (_integer(1, 1024), "a whole number from 1 to 1024"),
    "HTTP_HOST": (_address, "an IP address such as 127.0.0.1 or 0.0.0.0"),
    "HTTP_PORT": (_integer(1, 65535), "a port from 1 to 65535"),
    "PUBLIC_URL": (_web_url, "the http(s):// address at which Campaign Monitor reaches this"),
    "MAX_BODY_BYTES": (_integer(1024, 1 << 30), "a number of bytes from 1024 to 1073741824"),
    "API_TOKENS": (_tokens, _TOKENS),
    "METRICS_TOKENS": (_tokens, _TOKENS),
    "ENCRYPTION_KEYS": (_fernet_keys, "Fernet keys (32 bytes, URL-safe base64), newest first, by commas"),
    "API_BASE_URL": (_web_url, "the http(s):// address of the Campaign Monitor API"),
    "API_CONNECT_TIMEOUT_SECONDS": (_number(0.1, 60), "seconds from 0.1 to 60"),
    "API_READ_TIMEOUT_SECONDS": (_number(0.1, 600), "seconds from 0.1 to 600"),
    "API_CALLS_IN_FLIGHT": (_integer(1, 32), "a whole number from 1 to 32"),
    "API_ACCOUNT_CALLS_IN_FLIGHT": (_integer(1, 256), "a whole number from 1 to 256"),
    "API_CALLS_PER_SECOND": (_number(0.01, 10_000), "calls a second from 0.01 to 10000"),
    "API_LEAST_CALLS_PER_SECOND": (_number(0.01, 100), "calls a second from 0.01 to 100"),
    "FLUSH_MILLISECONDS": (_integer(0, 60_000), "milliseconds from 0 to 60000"),
    "SWEEP_SECONDS": (_number(0.2, 300), "seconds from 0.2 to 300"),
    "REBUILD_MEMORY_MB": (_integer(16, 1 << 20), "megabytes from 16 to 1048576"),
    "MAPPINGS_DIR": (_text, "a directory of .lql files, or empty for the shipped ones"),
    "ARCHIVE_URL": (
        _archive,
        "a URL such as file://, s3://, abfs:// or sftp://, or empty for `archive` in the data directory",
    ),
    "ARCHIVE_SECONDS": (_number(0.2, 86_400), "seconds from 0.2 to 86400"),
    "STREAM_LIMIT_EVENTS": (_integer(1, 1 << 40), "a number of events from 1"),
    "LOG_LEVEL": (_one_of("DEBUG", "INFO", "WARNING", "ERROR"), "DEBUG, INFO, WARNING or ERROR"),
}


def load(environ: Mapping[str, str] | None = None, *, env_file: Path | None = None) -> Settings:
    """Read the settings, by default from the environment and its file.

    `env_file` is read instead of that one, if it exists. Raises `SettingsError` on the first variable
    that is wrong or unknown.
    """
    values = dict(environ) if environ is not None else {**_from_file(env_file), **os.environ}
    given: dict[str, Any] = {}
    for name, text in values.items():
        if not name.startswith(PREFIX) or name == f"{PREFIX}ENV_FILE":
            continue
        key = name.removeprefix(PREFIX)
        if (secret := key.removesuffix("_FILE")) in SECRETS and secret != key:
            if not text.strip():
                continue
            if values.get(f"{PREFIX}{secret}"):
                raise SettingsError(f"{PREFIX}{secret} and {name} are both set; keep one of them")
            given[secret.lower()] = parse(secret, _secret_in(name, text.strip()))
            continue
        if key not in _RULES:
            known = ", ".join(sorted(_RULES))
            raise SettingsError(f"{name} is not a setting of listbridge; known after {PREFIX}: {known}")
        given[key.lower()] = parse(key, text.strip())
    return Settings(**given)


def parse(key: str, text: str) -> Any:
    """The value of one setting, named without the prefix. Raises `SettingsError`."""
    rule, expected = _RULES[key]
    try:
        return rule(text)
    except ValueError:
        # An address may hold a password, or an API key as its user.
        shown = "********" if key in SECRETS or "@" in text else repr(text)
        raise SettingsError(f"{PREFIX}{key} holds {shown}; it should be {expected}") from None


def _secret_in(name: str, path: str) -> str:
    """What the file of a secret holds; lines are as good as commas where there are several values."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{name} holds {path!r}, which can't be read: {reason}") from None
    found = ",".join(line.strip().rstrip(",") for line in text.splitlines() if line.strip())
    if not found.strip(","):
        # Without a word another store would be taken, or everybody be locked out.
        raise SettingsError(
            f"{name} holds {path!r}, which is empty; write the secret to it or leave {name} out"
        )
    return found


def _from_file(env_file: Path | None) -> dict[str, str]:
    named = os.environ.get(f"{PREFIX}ENV_FILE")
    path = env_file or Path(named or DEFAULT_ENV_FILE)
    if not path.is_file():
        if named and env_file is None:
            raise SettingsError(f"{PREFIX}ENV_FILE holds {named!r}; there is no such file")
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            _check_lines(path, parse_stream(file))
        return {name: value or "" for name, value in dotenv_values(path).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} can't be read: {error}") from error


def _check_lines(path: Path, lines: Iterable[Binding]) -> None:
    """Refuse a line that sets nothing: what it was meant to set would be the default. It is not shown."""
    for each in lines:
        if each.error:
            raise SettingsError(f"the settings file {path}: line {each.original.line} is not NAME=value")


def as_environ(settings: Settings) -> dict[str, str]:
    """The variables that make a child process read the same settings, wherever the parent had them from."""
    no_files = {f"{PREFIX}{secret}_FILE": "" for secret in SECRETS}
    given = {
        f"{PREFIX}{each.name.upper()}": _shown(getattr(settings, each.name)) for each in fields(settings)
    }
    return no_files | given


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read on first use."""
    return load()
