"""Event loops for the runs of the program, and settings as it reads them from Pulumi."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pytest

from infra.settings.reading import load
from infra.settings.schema import Settings
from tests.infra import pulumi_mocks
from tests.infra.settings.loading import Load


@pytest.fixture(scope="package", autouse=True)
def event_loops() -> Iterator[None]:
    """Set event loops for Pulumi's SDK, and close them at the end.

    The SDK uses the current loop, and asynchronous tests elsewhere leave none behind. Its mocks use
    one in each thread that serves a registration; they would create those and never close them.
    """
    loops: list[asyncio.AbstractEventLoop] = []

    def set_new_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    set_new_loop()
    threads = ThreadPoolExecutor(initializer=set_new_loop)
    loops[0].set_default_executor(threads)
    # The SDK registers the stack itself in its first run only: here, and so in no test's run.
    pulumi_mocks.start()
    pulumi_mocks.finish()
    yield
    threads.shutdown()
    asyncio.set_event_loop(None)
    for loop in loops:
        loop.close()


@pytest.fixture(name="loaded")
def _loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    def load_these(values: dict[str, Any], *, encrypted: bool = True) -> Settings:
        config = {f"frontier:{name}": str(value) for name, value in values.items()}
        pulumi_mocks.start()
        pulumi_mocks.finish()
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([*config] if encrypted else []))
        return load(pulumi.Config("frontier"))

    return load_these
