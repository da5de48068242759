"""What every run of the program needs."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.infra import monitor


@pytest.fixture(scope="package", autouse=True)
def event_loops() -> Iterator[None]:
    """Give the SDK loops that are closed again.

    It takes the current one, and asynchronous tests elsewhere leave none behind; its mocks take
    one in each thread that serves a registration, and would make those and forget them.
    """
    loops: list[asyncio.AbstractEventLoop] = []

    def have_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    have_loop()
    threads = ThreadPoolExecutor(initializer=have_loop)
    loops[0].set_default_executor(threads)
    # The SDK registers the stack itself once for all runs: here, and so in no test's own run.
    monitor.start()
    monitor.finish()
    yield
    threads.shutdown()
    asyncio.set_event_loop(None)
    for loop in loops:
        loop.close()
