"""What every run of the program needs."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def current_event_loop() -> Iterator[None]:
    """The SDK takes the current loop, and asynchronous tests elsewhere leave none behind."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
