"""Which host names the engine answers to: a page can have its own name lead to this machine."""

import socket
from pathlib import Path

import pytest

from tests.embedded_engine.client import CHAT, Client, chat
from tests.processes import started_engine

FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "EVIL.EXAMPLE.",
    "localhost.evil.example",
    "127.0.0.1.evil.example:80",
    "evillocalhost",
    "[::1].evil.example",
    "[evil.example]",
]
LOCAL = [
    "localhost",
    "LOCALHOST.:8080",
    "127.0.0.1",
    "127.0.0.1:8080",
    "192.0.2.1",
    "[::1]:8080",
    "host.docker.internal:8080",
    "app.localhost",
    socket.gethostname(),
]


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_names_are_refused(client: Client, host: str) -> None:
    refused = client.get("/v1/models", host=host)
    assert (refused.status, refused.content_type) == (403, "text/plain; charset=utf-8")
    assert "use localhost" in refused.text
    assert client.post(CHAT, chat(), host=host).status == 403


@pytest.mark.parametrize("host", LOCAL)
def test_local_names_and_addresses_are_accepted(client: Client, host: str) -> None:
    assert client.get("/v1/models", host=host).status == 200


def test_an_engine_that_other_machines_reach_accepts_any_name(tiny_llama: Path) -> None:
    """Containers reach it by names that it can't know."""
    with started_engine(tiny_llama, env={"ENGINE_HOST": "0.0.0.0"}) as (_, url):
        assert Client(url).get("/health", host="mistral:8080").status == 200
