"""One tiny model and one engine for the whole session, because loading takes time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded_engine.client import Client
from tests.processes import running_engine
from tests.tiny_llama import make_tiny_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def client(tiny_llama: Path) -> Iterator[Client]:
    with running_engine(tiny_llama) as base_url:
        yield Client(base_url)
