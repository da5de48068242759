"""An event loop for tests that can wait until nothing is left to do.

Python's own, because the tests with third-party clients have no uvloop.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Protocol, TypeVarTuple

_Args = TypeVarTuple("_Args")


class Counting(Protocol):
    """A loop that counts the callbacks that it has been given."""

    scheduled: int


async def settle(loop: Counting) -> None:
    """Wait until all callbacks that are due were called, and those that they schedule."""
    before = -1
    while loop.scheduled > before:
        before = loop.scheduled + 1  # the next step of this task
        await asyncio.sleep(0)


class SettlingLoop(asyncio.SelectorEventLoop):
    """Python's own event loop, which can wait until it has nothing to do."""

    scheduled = 0

    def call_soon(
        self,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.scheduled += 1
        return super().call_soon(callback, *args, context=context)

    async def settle(self) -> None:
        """Wait until all callbacks that are due were called, and those that they schedule."""
        await settle(self)
