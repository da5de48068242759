"""One stack for all tests of this folder, with a tiny model, and ports and state of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Stack, missing_tools, new_stack
from tests.processes import free_port
from tests.tiny_llama import make_tiny_llama


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    missing = missing_tools()
    if missing:
        pytest.fail(missing, pytrace=False)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(make_tiny_llama(tmp_path_factory.mktemp("model") / "tiny-llama"))
    # The engine's own user must be able to read the mounted folder.
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture(scope="session")
def base_settings(tiny_model: Path) -> dict[str, str]:
    """Return settings for an engine that needs no download; ports are each stack's own."""
    return {
        "engine": "embedded",
        "model": str(tiny_model),
        "engineWaitSeconds": "120",
        "waitSeconds": "60",
    }


def with_ports(settings: dict[str, str]) -> dict[str, str]:
    names = ("proxyPort", "prometheusPort", "grafanaPort")
    return {**settings, **{name: str(free_port()) for name in names}}


@pytest.fixture(scope="session")
def running(
    base_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Start a new stack; each test leaves it unchanged."""
    folder = tmp_path_factory.mktemp("stack")
    with new_stack(folder, with_ports(base_settings)) as stack:
        stack.up()
        yield stack
