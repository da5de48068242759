"""The engine's models: their names, whether the engine is ready, loading and unloading.

A background task asks the engine for its list of models repeatedly. Requests use the last list,
and ask again only for a name that isn't in it. While the engine is down, the last list is
kept, so that a request fails with the engine's error and not with "not found".
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from proxy_service.clock import NS_PER_SECOND, Clock
from proxy_service.engines.client import Engine
from proxy_service.errors import (
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    NotImplementedHere,
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

logger = logging.getLogger("proxy_service.catalogue")


def _check_reload(reply: bytes, model: EngineModel) -> None:
    """Raise the error in the reply to a reload, which has status 200 even if the reload failed."""
    try:
        value = cast("dict[str, object]", decode_reply(reply))
        status, reason = value["status"], value.get("error")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineProtocolError("the engine's reply to a reload has an unknown format") from error
    if status == "not_found":
        raise ModelNotFound(f"model '{model.name}' not found")
    if status not in (LOADED, RELOADING):
        raise EngineUnavailable(
            f"the engine can't load model '{model.name}': {reason or status}; see the engine's log"
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
        self._in_use: Counter[str] = Counter()
        self._watcher: asyncio.Task[None] | None = None
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
        """Start the background task."""
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop the background task, and cancel unloads that haven't happened yet."""
        tasks = {*self._unloads, *([self._watcher] if self._watcher is not None else [])}
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

    def loaded(
        self, model: EngineModel, *, keep_alive_seconds: float | None = None
    ) -> AbstractAsyncContextManager[int]:
        """Return a context that keeps ``model`` loaded; entering it returns the load time in ns.

        With a ``keep_alive_seconds`` of 0 the model is unloaded afterwards, in the background: the
        client doesn't wait for it.
        """
        return _Use(self, model, unload=keep_alive_seconds == 0)

    async def begin_use(self, model: EngineModel) -> int:
        """Load ``model`` and keep it loaded; see `loaded`."""
        self._in_use[model.id] += 1
        return await self.load(model)

    def end_use(self, model: EngineModel, *, unload: bool) -> None:
        """End one use of ``model``; if it was the last one and ``unload`` is set, unload it."""
        self._in_use[model.id] -= 1
        if unload:
            self._unload_soon(model)

    async def load(self, model: EngineModel) -> int:
        """Have the engine load ``model`` if it isn't loaded; return how many ns this took."""
        # The request may have waited for a slot since `find`, and the model may be unloaded now.
        known = self._table.find(model.id) or model
        if known.status == LOADED:
            return 0
        async with self._loading:
            started = self._clock.monotonic()
            await self._ask()
            current = self._listed(model)
            if current.status == LOADED:
                return 0
            if current.status == UNLOADED:
                # Never reload a loaded model: the engine would report "reloading" permanently.
                _check_reload(await self._post(engine_paths.RELOAD, model), model)
            await self._wait_until_loaded(model, started)
            seconds = self._clock.monotonic() - started
            self._metrics.model(model.name).load_duration.observe(seconds)
            return max(round(seconds * NS_PER_SECOND), 1)

    async def unload(self, model: EngineModel) -> None:
        """Have the engine unload ``model``, if the settings allow it and no request uses it."""
        if not self._settings.model_unload:
            return
        async with self._loading:
            # Keep probes out meanwhile: their lists would be older than the status set here.
            async with self._asking:
                current = self._table.find(model.id)
                if current is None or current.status != LOADED or self._in_use[model.id]:
                    return
                # Marked before it happens: a request that arrives now then waits for the lock, and
                # loads the model again. The engine never replies to requests for an unloaded model.
                self._table = self._table.with_status(current, UNLOADED)
                # With a timeout, because every request for the list of models waits for it.
                async with self._probe_timeout(f"unload model '{current.name}'"):
                    await self._post(engine_paths.UNLOAD, current)
            await self._ask()

    def _unload_soon(self, model: EngineModel) -> None:
        task = asyncio.create_task(self._unload_or_log(model))
        self._unloads.add(task)
        task.add_done_callback(self._unloads.discard)

    async def _unload_or_log(self, model: EngineModel) -> None:
        try:
            await self.unload(model)
        except ProxyError as error:
            fields = {"model": model.name, "reason": error.message}
            logger.warning("unload_failed", extra={"fields": fields})

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


class _Use(AbstractAsyncContextManager[int]):
    """One use of a model; a class because each generation needs one, and a generator costs more."""

    __slots__ = ("_catalogue", "_model", "_unload")

    def __init__(self, catalogue: Catalogue, model: EngineModel, *, unload: bool) -> None:
        self._catalogue = catalogue
        self._model = model
        self._unload = unload

    async def __aenter__(self) -> int:
        try:
            return await self._catalogue.begin_use(self._model)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._catalogue.end_use(self._model, unload=self._unload)
