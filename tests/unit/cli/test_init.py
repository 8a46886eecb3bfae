"""`init` makes what is missing and keeps what is there."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli.main import main
from listbridge import authorizations
from settings import load
from simulator.server import SimulatorServer


@pytest.fixture(scope="module")
def simulator():
    with SimulatorServer(people=5, campaigns=0, activity_rows=0, lists=1, seed=3) as server:
        yield server


@pytest.fixture
def init(simulator, store_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTBRIDGE_REDIS_URL", store_server)
    monkeypatch.setenv("LISTBRIDGE_API_BASE_URL", simulator.api_url)

    def run(*options):
        arguments = ["init", "--api-key", simulator.api_key, *options]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


@pytest.mark.usefixtures("store")
def test_a_second_init_keeps_the_keys_and_the_credential(init, tmp_path, context):
    path = tmp_path / "prod.env"
    assert init("--env-file", str(path), "--public-url", "https://a.example").exit_code == 0
    first, text = load(env_file=path), path.read_text()

    done = init("--env-file", str(path), "--public-url", "https://b.example")

    assert done.exit_code == 0
    assert f"LISTBRIDGE_ENV_FILE={path} listbridge up" in done.output
    second = load(env_file=path)
    assert (second.api_tokens, second.encryption_keys) == (first.api_tokens, first.encryption_keys)
    assert (first.public_url, second.public_url) == ("https://a.example", "https://b.example")
    assert text != path.read_text()
    assert len(authorizations.list_all(context.store)) == 1


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("url", ["ftp://bad", "https://user:pw@host", "https://x y", "https://h/?a=b"])
def test_an_address_that_cannot_be_is_not_written(init, tmp_path, url):
    done = init("--public-url", url)
    assert done.exit_code == 1
    assert "LISTBRIDGE_PUBLIC_URL" in done.stderr
    assert list(tmp_path.glob("*.env")) == []
