"""Loads, uses, unloads and clients that leave, in many orders: each wait ends when a test says so.

The engine is a model of Mistral.rs: it loses a model whose loading is broken off, or that is loaded
twice, and never answers a request for a model that isn't loaded.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from proxy_service.engines.catalogue import Catalogue
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics
from tests.proxy.running import SteppedClock
from tests.proxy.settling_loop import SettlingLoop

if TYPE_CHECKING:
    from proxy_service.engines.client import Engine

NAMES = ("a", "b", "c")
SEEDS = range(60)
ACTIONS = 60


class _TickingClock(SteppedClock):
    def monotonic(self) -> float:
        self.ahead_seconds += 1e-6
        return self.ahead_seconds


@dataclass
class _Reply:
    content: bytes
    status: int = 200
    content_type: str = "application/json"

    async def body(self) -> bytes:
        return self.content


class _SteppedEngine:
    """Waits in the middle of each request, and checks what the proxy asks of it."""

    def __init__(self, loop: SettlingLoop, loaded: tuple[str, ...]) -> None:
        self._loop = loop
        self.status = {name: "loaded" if name in loaded else "unloaded" for name in NAMES}
        self.uses = Counter[str]()
        self.waiting: list[asyncio.Future[None]] = []
        self.most_resident = 0

    @asynccontextmanager
    async def request(self, _: str, path: str, *, body: bytes = b"{}") -> AsyncIterator[_Reply]:
        name = json.loads(body).get("model_id")
        if path == "/v1/models/reload":
            assert self.status[name] == "unloaded", "a reload of a loaded model loses it"
            self.status[name] = "reloading"
            self._count()
            await self.step()  # if it is broken off here, the status stays
            self.status[name] = "loaded"
        elif path == "/v1/models/unload":
            await self.step()
            assert not self.uses[name], "an unload of a model in use hangs its requests"
            self.status[name] = "unloaded"
        else:
            listed = [{"id": key, "status": status} for key, status in self.status.items()]
            await self.step()
            yield _Reply(json.dumps({"data": listed}).encode())
            return
        yield _Reply(json.dumps({"model_id": name, "status": self.status[name]}).encode())

    async def step(self) -> None:
        future = self._loop.create_future()
        self.waiting.append(future)
        try:
            await future
        finally:
            self.waiting.remove(future)

    def _count(self) -> None:
        resident = sum(status != "unloaded" for status in self.status.values())
        self.most_resident = max(self.most_resident, resident)

    def release(self, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_result(None)


class _Scene:
    """A catalogue, its engine and its clients."""

    def __init__(self, loop: SettlingLoop, limit: int) -> None:
        self.loop = loop
        self.engine = _SteppedEngine(loop, NAMES[:limit])
        settings = ProxySettings(
            model_unload=True, max_loaded_models=limit, engine_probe_interval_seconds=3600
        )
        self.catalogue = Catalogue(
            settings,
            engine=cast("Engine", self.engine),
            metrics=ProxyMetrics(),
            clock=_TickingClock(),
        )
        self.clients: list[asyncio.Task[None]] = []
        self.left: set[asyncio.Task[None]] = set()
        self.generations: list[asyncio.Future[None]] = []

    async def begin(self) -> None:
        self.catalogue.start()
        await self.end(lambda: self.catalogue.ready)

    def ask(self, name: str, keep_alive: float | None) -> asyncio.Task[None]:
        """Start a client that generates until `generations` are released."""
        return self._start(self._generate(name, keep_alive))

    async def _generate(self, name: str, keep_alive: float | None) -> None:
        model = await self.catalogue.find(name)
        async with self.catalogue.loaded(model, keep_alive_seconds=keep_alive):
            assert self.engine.status[name] == "loaded", "the engine never answers"
            self.engine.uses[name] += 1
            generation = self.loop.create_future()
            self.generations.append(generation)
            try:
                await generation
            finally:
                self.engine.uses[name] -= 1
                self.generations.remove(generation)

    def unload(self, name: str) -> asyncio.Task[None]:
        return self._start(self._unload(name))

    async def _unload(self, name: str) -> None:
        await self.catalogue.unload(await self.catalogue.find(name))

    def load(self, name: str) -> asyncio.Task[None]:
        return self._start(self._load(name))

    async def _load(self, name: str) -> None:
        await self.catalogue.load(await self.catalogue.find(name))

    def probe(self) -> asyncio.Task[None]:
        return self._start(self._probe())

    async def _probe(self) -> None:
        await self.catalogue.models()

    def leave(self, client: asyncio.Task[None]) -> None:
        client.cancel()
        self.left.add(client)

    def _start(self, job: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = self.loop.create_task(job)
        self.clients.append(task)
        return task

    async def end(self, holds: Callable[[], bool]) -> None:
        """Let the engine and all generations go on until something holds."""
        for _ in range(1000):
            await self.loop.settle()
            if holds():
                return
            for future in [*self.engine.waiting, *self.generations]:
                self.engine.release(future)
        pytest.fail("it hangs")


def _in_order(play: Callable[[SettlingLoop], "asyncio._CoroutineLike[None]"]) -> None:
    loop = SettlingLoop()
    try:
        loop.run_until_complete(play(loop))
    finally:
        loop.close()


def _act(scene: _Scene, chance: random.Random) -> None:
    """Let one client come or leave, or let the engine or a generation go on."""
    action, name = chance.randrange(12), chance.choice(NAMES)
    pending = [task for task in scene.clients if not task.done()]
    if action < 3:
        scene.ask(name, chance.choice([None, 0.0, 60.0]))
    elif action == 3:
        chance.choice([scene.unload, scene.load])(name)
    elif action == 4:
        scene.probe()
    elif action == 5 and pending:
        scene.leave(chance.choice(pending))
    elif waiting := [*scene.engine.waiting, *scene.generations]:
        scene.engine.release(chance.choice(waiting))


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_client_that_stays_is_answered_whatever_the_order(seed: int, limit: int) -> None:
    """Nothing is unloaded in use, loaded twice, broken off, or loaded beyond the limit."""

    async def play(loop: SettlingLoop) -> None:
        chance = random.Random(seed)  # noqa: S311  not for secrets
        scene = _Scene(loop, limit)
        await scene.begin()
        for _ in range(ACTIONS):
            _act(scene, chance)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
        await scene.end(lambda: all(task.done() for task in scene.clients))
        for task in scene.clients:
            if task not in scene.left:
                task.result()
        for name in NAMES:  # none was lost
            task = scene.ask(name, None)
            await scene.end(task.done)
            task.result()
        assert scene.engine.most_resident <= limit
        await scene.catalogue.stop()

    _in_order(play)


def test_a_load_goes_on_when_its_client_leaves_and_is_not_repeated() -> None:
    async def play(loop: SettlingLoop) -> None:
        scene = _Scene(loop, 2)
        await scene.begin()
        client = scene.ask("c", None)
        await scene.end(lambda: scene.engine.status["c"] == "reloading")
        client.cancel()
        other = scene.ask("c", None)
        await loop.settle()
        assert client.cancelled()
        await scene.end(other.done)
        other.result()
        await scene.catalogue.stop()

    _in_order(play)


def test_no_use_begins_between_the_choice_of_a_model_and_its_unload() -> None:
    """Although a probe delays the unload."""

    async def play(loop: SettlingLoop) -> None:
        scene = _Scene(loop, 1)
        await scene.begin()
        first = scene.ask("a", None)
        await scene.end(lambda: bool(scene.generations))
        waiting = scene.ask("b", None)
        await loop.settle()
        for future in scene.engine.waiting:
            scene.engine.release(future)
        await loop.settle()
        scene.probe()
        await loop.settle()
        scene.engine.release(scene.generations[0])
        await loop.settle()
        assert first.done()
        again = scene.ask("a", None)
        await loop.settle()
        assert not scene.engine.uses["a"]
        await scene.end(lambda: bool(scene.engine.uses["b"]))
        await scene.end(lambda: waiting.done() and again.done())
        await scene.catalogue.stop()

    _in_order(play)


def test_a_model_that_waits_for_room_notices_what_others_unload() -> None:
    """The engine's list shows it; no use has to end."""

    async def play(loop: SettlingLoop) -> None:
        scene = _Scene(loop, 2)
        await scene.begin()
        for name in ("a", "b"):
            scene.ask(name, None)
        await loop.settle()
        waiting = scene.ask("c", None)
        await loop.settle()
        for future in scene.engine.waiting:
            scene.engine.release(future)
        await loop.settle()
        assert not scene.engine.waiting
        scene.engine.status["b"] = "unloaded"  # by another program
        scene.probe()
        await loop.settle()
        for _ in range(3):
            for future in scene.engine.waiting:
                scene.engine.release(future)
            await loop.settle()
        assert scene.engine.uses["c"]
        await scene.end(waiting.done)
        await scene.catalogue.stop()

    _in_order(play)
