"""The engine's models: their names, whether the engine is ready, loading and unloading.

A background task asks the engine for its list of models repeatedly. Requests use the last list,
and ask again only for a name that isn't in it. While the engine is down, the last list is
kept, so that a request fails with the engine's error and not with "not found".
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from proxy_service.clock import NS_PER_SECOND, Clock
from proxy_service.engines.client import Engine
from proxy_service.engines.uses import NEVER, ModelUses
from proxy_service.errors import (
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    NotImplementedHere,
    Overloaded,
    ProxyError,
)
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.stack_names import named
from proxy_service.telemetry.metrics import ProxyMetrics
from proxy_service.translate.engine_errors import ABSENT, from_reply, no_model_list
from proxy_service.translate.models.listing import from_model_list
from proxy_service.translate.models.lookup import NameTable
from proxy_service.translate.models.model import LOADED, RELOADING, UNLOADED, EngineModel
from proxy_service.translate.models.names import fold_name, is_valid_name
from proxy_service.wire import engine_paths
from proxy_service.wire.reading import decode_reply, replace_surrogates

if TYPE_CHECKING:
    from proxy_service.wire.engine import ModelList

# Seconds; an unknown name doesn't cause a new request for a list younger than this. Otherwise
# each made-up name would cause a request to the engine.
_FRESH_SECONDS = 1.0
# Seconds between two requests for the list while the engine loads a model.
_LOADING_PAUSE_SECONDS = 0.25
# Seconds until an idle model that couldn't be unloaded is unloaded again.
_RETRY_SECONDS = 60.0
# What engines say when a model doesn't fit: "out of memory", "failed to allocate".
_NO_MEMORY = re.compile(r"memory|\balloc", re.IGNORECASE)

logger = logging.getLogger("proxy_service.catalogue")


class _TooLittleMemory(EngineUnavailable):
    """The engine can't load a model because it has too little memory."""


def _check_change(reply: bytes, model: EngineModel, *, job: str, ends: tuple[str, ...]) -> None:
    """Raise the error in the reply to a load or unload, which has status 200 even if it failed."""
    try:
        value = cast("dict[str, object]", decode_reply(reply))
        status, reason = value["status"], value.get("error")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineProtocolError(
            f"the engine's reply to a request to {job} a model has an unknown format"
        ) from error
    if status == "not_found":
        raise ModelNotFound(f"model '{model.name}' not found")
    if status not in ends:
        kind = _TooLittleMemory if _NO_MEMORY.search(str(reason)) else EngineUnavailable
        raise kind(
            f"the engine can't {job} model '{model.name}': {reason or status}; see the engine's log"
        )


class Catalogue:
    """The engine's models by the names that clients use."""

    def __init__(
        self, settings: ProxySettings, *, engine: Engine, metrics: ProxyMetrics, clock: Clock
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._clock = clock
        self._table = NameTable((), settings.model_aliases)
        self._details = {
            fold_name(name): details for name, details in settings.model_details.items()
        }
        self._asked_at = float("-inf")
        self._failed_at = float("-inf")
        self._asking = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._uses = ModelUses(settings.model_keep_alive_seconds)
        # Set while a model waits until it can take another one's place.
        self._awaited_room: asyncio.Event | None = None
        self._making_room = ""  # the id of the model that is being unloaded for another one
        self._earlier_expiry = asyncio.Event()
        self._next_expiry = NEVER
        self._tasks: list[asyncio.Task[None]] = []
        self._load: asyncio.Task[None] | None = None
        self._unloads: set[asyncio.Task[None]] = set()
        self._failure: EngineError | None = EngineUnavailable("the engine hasn't been probed yet")
        self._was_ready = False

    @property
    def ready(self) -> bool:
        """Whether the engine answered the last probe."""
        return self._failure is None

    @property
    def failure(self) -> str:
        """Why the engine is not ready; empty when it is."""
        return self._failure.message if self._failure else ""

    def start(self) -> None:
        """Start the background tasks."""
        self._tasks = [asyncio.create_task(self._watch())]
        if self._settings.model_unload:
            self._tasks.append(asyncio.create_task(self._unload_idle_models()))

    async def stop(self) -> None:
        """Stop the background tasks."""
        tasks = [*self._tasks, *self._unloads]
        if self._load is not None:
            tasks.append(self._load)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self) -> None:
        while True:
            with suppress(ProxyError):
                await self._ask()
            await asyncio.sleep(self._settings.engine_probe_interval_seconds)

    async def models(self) -> tuple[EngineModel, ...]:
        """Ask the engine for its models, and return them.

        Raises:
            EngineError: The engine can't be asked.
        """
        await self._ask()
        return self._table.models

    async def raw_list(self) -> tuple[bytes, str]:
        """Return the body and the content type of the engine's own list of models.

        Raises:
            EngineError: The engine can't be asked, or has no list.
        """
        async with (
            self._probe_timeout("list its models"),
            self._engine.request("GET", engine_paths.MODELS) as reply,
        ):
            body = await reply.body()
        if reply.status != HTTPStatus.OK:
            raise no_model_list(reply.status, body)
        return body, reply.content_type

    def listed(self, name: str) -> EngineModel | None:
        """Return the model with this name in the last list, None if there is none."""
        return self._table.find(name)

    async def find(self, name: str) -> EngineModel:
        """Return the model with this name.

        Raises:
            ModelNotFound: The engine lists no such model.
            InvalidRequest: It lists no such model, and the name isn't valid for one.
            EngineError: The engine can't be asked, and its last list has no such model.
        """
        model = self._table.find(name)
        if model is None and self._clock.monotonic() - self._asked_at > _FRESH_SECONDS:
            await self._ask()
            model = self._table.find(name)
        if model is None and self._failure is not None:
            raise self._failure
        if model is None and not is_valid_name(name):
            raise InvalidRequest("invalid model name")
        if model is None:
            raise ModelNotFound(f"model '{name}' not found")
        return model

    def expires_in_seconds(self, model: EngineModel) -> float:
        """Return how long ``model`` stays loaded if no further request uses it."""
        if not self._settings.model_unload:
            return NEVER
        now = self._clock.monotonic()
        return self._uses.expires_at(self._base(model).id, now=now) - now

    def loaded(
        self, model: EngineModel, *, keep_alive_seconds: float | None = None
    ) -> AbstractAsyncContextManager[int]:
        """Return a context that keeps ``model`` loaded; entering it returns the load time in ns.

        If the settings allow it, the model is unloaded when it hasn't been used for
        ``keep_alive_seconds``; None leaves this time as it is.
        """
        return _Use(self, self._base(model), keep_alive_seconds)

    async def begin_use(self, model: EngineModel, keep_alive_seconds: float | None) -> int:
        """Load ``model`` and keep it loaded; see `loaded`."""
        waits = self._awaited_room is not None or self._making_room == model.id
        if self._is_loaded(model) and not waits:
            self._uses.begin(model.id, keep_alive_seconds=keep_alive_seconds)
            return 0
        async with self._alone() as deadline:
            load_ns = await self._load_now(model, deadline)
            self._uses.begin(model.id, keep_alive_seconds=keep_alive_seconds)
        return load_ns

    def end_use(self, model: EngineModel) -> None:
        """End one use of ``model``."""
        self._uses.end(model.id, now=self._clock.monotonic())
        self._look_for_room()
        self._notice_expiry()

    async def load(self, model: EngineModel, *, keep_alive_seconds: float | None = None) -> None:
        """Have the engine load ``model`` if it isn't loaded."""
        model = self._base(model)
        if not self._is_loaded(model):
            async with self._alone() as deadline:
                await self._load_now(model, deadline)
        self._uses.asked_for(
            model.id, now=self._clock.monotonic(), keep_alive_seconds=keep_alive_seconds
        )
        self._notice_expiry()

    async def unload(self, model: EngineModel) -> None:
        """Have the engine unload ``model`` when no request uses it, if the settings allow it."""
        if not self._settings.model_unload:
            return
        model = self._base(model)
        self._uses.asked_for(model.id, now=self._clock.monotonic(), keep_alive_seconds=0.0)
        async with self._alone():
            now = self._clock.monotonic()
            if self._uses.expires_at(model.id, now=now) <= now:  # no later request wants to keep it
                await self._unload_now(model.id)

    def _is_loaded(self, model: EngineModel) -> bool:
        """Return the last known status; ``model`` may be older than an unload."""
        return (self._table.find(model.id) or model).status == LOADED

    async def _load_now(self, model: EngineModel, deadline: float) -> int:
        """Load ``model`` if it isn't loaded, and return how many ns this took.

        It may wait for room until ``deadline``, by the loop's clock.
        """
        if self._is_loaded(model):
            return 0
        started = self._clock.monotonic()
        await self._ask()
        if self._listed(model).status == UNLOADED:
            await self._make_room(model, deadline)
        if self._listed(model).status == LOADED:
            return 0
        # It goes on if the request that caused it is cancelled: Mistral.rs reports a model whose
        # loading it had to break off as "reloading" permanently.
        self._load = asyncio.create_task(self._load_unloaded(model))
        self._load.add_done_callback(_forget_outcome)
        await asyncio.shield(self._load)
        seconds = self._clock.monotonic() - started
        return max(round(seconds * NS_PER_SECOND), 1)

    async def _load_unloaded(self, model: EngineModel) -> None:
        started = self._clock.monotonic()
        # Never reload a loaded model: the engine would report "reloading" permanently.
        if self._listed(model).status == UNLOADED:
            await self._reload(model)
        await self._wait_until_loaded(model, started)
        seconds = self._clock.monotonic() - started
        self._metrics.model(model.name).load_duration.observe(seconds)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[float]:
        """Return a context in which no other task loads or unloads a model.

        Entering it also waits for a load whose request has been cancelled. It returns until when
        the task may wait for room, by the loop's clock.

        Raises:
            Overloaded: The other tasks take longer than a model may take to load.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.engine_reply_timeout_seconds
        async with AsyncExitStack() as stack:
            async with self._until(deadline):
                await stack.enter_async_context(self._loading)
                if self._load is not None:
                    await asyncio.wait([self._load])
            yield deadline

    @asynccontextmanager
    async def _until(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError as error:
            raise Overloaded(
                "the model waited too long for others to be loaded or unloaded "
                f"({named('ENGINE_REPLY_TIMEOUT')} sets the limit, "
                f"{named('OLLAMA_MAX_LOADED_MODELS')} how many may be loaded)"
            ) from error

    async def _reload(self, model: EngineModel) -> None:
        """Load ``model``; while it doesn't fit, unload idle ones, the least recently used first."""
        while True:
            try:
                reply = await self._post(engine_paths.RELOAD, model)
                _check_change(reply, model, job="load", ends=(LOADED, RELOADING))
            except _TooLittleMemory:
                idle = self._uses.least_recently_used(self._loaded_ids())
                if idle is None or not self._settings.model_unload:
                    raise
                await self._evict(idle)
                if idle in self._loaded_ids():
                    raise
            else:
                return

    async def _make_room(self, model: EngineModel, deadline: float) -> None:
        """Unload models until ``model`` may be loaded, the least recently used first.

        If all are in use, wait for the end of a use. Until then no new one begins, so that a
        model that is always in use can't keep another one out.

        Raises:
            Overloaded: All were in use until ``deadline``, by the loop's clock.
        """
        limit = self._settings.max_loaded_models
        if not (limit and self._settings.model_unload):
            return
        while self._count_resident() >= limit and not self._is_loaded(model):
            loaded = self._loaded_ids()
            idle = self._uses.least_recently_used(loaded)
            if not loaded:
                return  # all are being loaded
            if idle is not None:
                await self._evict(idle)
                if idle in self._loaded_ids():
                    return  # the engine didn't unload it; it may have room all the same
                continue
            self._awaited_room = asyncio.Event()
            try:
                async with self._until(deadline):
                    await self._awaited_room.wait()
            finally:
                self._awaited_room = None

    def _look_for_room(self) -> None:
        """Let a model that waits for room look again: a use has ended, or the list is new."""
        if self._awaited_room is not None:
            self._awaited_room.set()

    async def _evict(self, model_id: str) -> None:
        """Unload an idle model for another one; no use of it begins in the meantime."""
        self._making_room = model_id
        try:
            await self._unload_or_log(model_id)
        finally:
            self._making_room = ""

    async def _unload_or_log(self, model_id: str) -> None:
        """Unload a model; a failure is only logged, since it concerns no request."""
        try:
            await self._unload_now(model_id)
        except ProxyError as error:
            fields = {"model": model_id, "reason": error.message}
            logger.warning("unload_failed", extra={"fields": fields})
            with suppress(ProxyError):
                await self._ask()

    async def _unload_now(self, model_id: str) -> None:
        """Unload a model unless it is in use or isn't loaded.

        It goes on if the request that caused it is cancelled: nobody may ask for the engine's
        list while the engine unloads.
        """
        task = asyncio.create_task(self._unload_loaded(model_id))
        self._unloads.add(task)
        task.add_done_callback(self._unload_ended)
        await asyncio.shield(task)

    def _unload_ended(self, task: asyncio.Task[None]) -> None:
        self._unloads.discard(task)
        _forget_outcome(task)

    async def _unload_loaded(self, model_id: str) -> None:
        # Keep probes out meanwhile: their lists would be older than the status set here.
        async with self._asking:
            current = self._table.find(model_id)
            if current is None or current.status != LOADED or self._uses.in_use(model_id):
                return
            # Marked before it happens: a request that arrives now then waits for the lock, and
            # loads the model again. The engine never replies to requests for an unloaded model.
            self._table = self._table.with_status(current, UNLOADED)
            # With a timeout, because every request for the list of models waits for it.
            async with self._probe_timeout(f"unload model '{current.name}'"):
                reply = await self._post(engine_paths.UNLOAD, current)
            _check_change(reply, current, job="unload", ends=(UNLOADED,))
        await self._ask()

    def _count_resident(self) -> int:
        """Return how many models are loaded or being loaded."""
        return sum(not (m.status == UNLOADED or m.parent) for m in self._table.models)

    def _loaded_ids(self) -> list[str]:
        models = self._table.models
        return [model.id for model in models if model.status == LOADED and not model.parent]

    def _base(self, model: EngineModel) -> EngineModel:
        """Return the model that is loaded for ``model``: a LoRA adapter's base, else itself."""
        return self._table.find(model.parent) or model if model.parent else model

    def _notice_expiry(self) -> None:
        """Wake the task that unloads idle models if one expires earlier than it expects."""
        if self._settings.model_unload and self._uses.next_to_expire()[1] < self._next_expiry:
            self._earlier_expiry.set()

    async def _unload_idle_models(self) -> None:
        while True:
            _, self._next_expiry = self._uses.next_to_expire()
            now = self._clock.monotonic()
            if self._next_expiry > now:
                await self._sleep_until_expiry(now)
                continue
            with suppress(Overloaded):
                async with self._alone():
                    await self._unload_expired()

    async def _unload_expired(self) -> None:
        """Unload the model that expired first, unless it was used while this waited."""
        model_id, expires_at = self._uses.next_to_expire()
        now = self._clock.monotonic()
        if expires_at <= now:
            # `_uses` forgets the model when the engine no longer lists it as loaded.
            self._uses.postpone(model_id, until=now + _RETRY_SECONDS)
            await self._unload_or_log(model_id)

    async def _sleep_until_expiry(self, now: float) -> None:
        self._earlier_expiry.clear()
        seconds = None if self._next_expiry == NEVER else self._next_expiry - now
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._earlier_expiry.wait()

    async def _wait_until_loaded(self, model: EngineModel, started: float) -> None:
        while True:
            await self._ask()
            current = self._listed(model)
            if current.status == LOADED:
                return
            if current.status == UNLOADED:
                raise EngineUnavailable(f"the engine did not load model '{model.name}'")
            if self._clock.monotonic() - started > self._settings.engine_reply_timeout_seconds:
                raise EngineTimeout(
                    f"the engine did not finish loading model '{model.name}' "
                    f"({named('ENGINE_REPLY_TIMEOUT')} sets the limit)"
                )
            await asyncio.sleep(_LOADING_PAUSE_SECONDS)

    def _listed(self, model: EngineModel) -> EngineModel:
        current = self._table.find(model.id)
        if current is None:
            raise ModelNotFound(f"model '{model.name}' not found: the engine no longer lists it")
        return current

    async def _post(self, path: str, model: EngineModel) -> bytes:
        body = json.dumps({"model_id": model.id}).encode("ascii")
        async with self._engine.request("POST", path, body=body) as reply:
            content = await reply.body()
        if reply.status in ABSENT:
            raise NotImplementedHere(f"the engine behind this server has no {path}")
        if reply.status != HTTPStatus.OK:
            raise from_reply(reply.status, content, model=model.id)
        return content

    async def _ask(self) -> None:
        called_at = self._clock.monotonic()
        async with self._asking:
            if self._asked_at >= called_at:
                return  # another task asked while this one waited
            if self._failed_at >= called_at and self._failure is not None:
                raise self._failure
            await self._ask_now()

    async def _ask_now(self) -> None:
        started = self._clock.monotonic()
        try:
            models = await self._fetch()
        except EngineError as error:
            self._failed_at = self._clock.monotonic()
            self._set_failure(error)
            raise
        self._table = NameTable(models, self._settings.model_aliases)
        self._uses.listed(self._loaded_ids(), now=started)
        self._notice_expiry()
        self._look_for_room()
        self._asked_at = started
        self._set_failure(None)

    async def _fetch(self) -> tuple[EngineModel, ...]:
        body, _ = await self.raw_list()
        try:
            listed = cast("ModelList", replace_surrogates(decode_reply(body)))
            return from_model_list(listed, self._details)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                "the engine's list of models doesn't have the shape of OpenAI's API; "
                f"check that {named('MISTRAL_URL')} is the URL of Mistral.rs"
            ) from error

    @asynccontextmanager
    async def _probe_timeout(self, what: str) -> AsyncIterator[None]:
        """Time out calls that aren't generations; an engine this quiet counts as down."""
        seconds = self._settings.engine_probe_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise EngineTimeout(
                f"the engine did not {what} within {seconds:g} s "
                f"({named('ENGINE_PROBE_TIMEOUT')} sets the limit)"
            ) from error

    def _set_failure(self, failure: EngineError | None) -> None:
        if failure is not None and self._failure is None:
            logger.warning("engine_lost", extra={"fields": {"reason": failure.message}})
        elif failure is None and self._failure is not None:
            # Log the engine's return at the level of its loss, so that a log with one has both.
            # The first time, the engine has only finished loading its model.
            logger.log(logging.WARNING if self._was_ready else logging.INFO, "engine_ready")
            self._was_ready = True
        self._failure = failure
        self._metrics.upstream_up.set(failure is None)
        if failure is None:
            self._metrics.upstream_last_success.set(self._clock.time_ns() / NS_PER_SECOND)
        self._metrics.set_loaded(
            (model.name, failure is None and model.status == LOADED) for model in self._table.models
        )


def _forget_outcome(task: asyncio.Task[None]) -> None:
    """Read a task's error, which asyncio would log if the request that waits was cancelled."""
    if not task.cancelled():
        task.exception()


class _Use(AbstractAsyncContextManager[int]):
    """One use of a model; a class because each generation needs one, and a generator costs more."""

    __slots__ = ("_catalogue", "_keep_alive_seconds", "_model")

    def __init__(
        self, catalogue: Catalogue, model: EngineModel, keep_alive_seconds: float | None
    ) -> None:
        self._catalogue = catalogue
        self._model = model
        self._keep_alive_seconds = keep_alive_seconds

    async def __aenter__(self) -> int:
        return await self._catalogue.begin_use(self._model, self._keep_alive_seconds)

    async def __aexit__(self, *_: object) -> None:
        self._catalogue.end_use(self._model)
