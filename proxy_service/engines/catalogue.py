"""What the engine serves, kept fresh: model names, whether it answers, loading and unloading.

A background task asks the engine for its models; requests read the last answer and ask again
only when a name is not in it. While the engine is away the last list stays, so that a request
fails with the engine's error and not with "not found".
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
from proxy_service.settings import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics
from proxy_service.translate.engine_errors import ABSENT, from_reply, no_model_list
from proxy_service.translate.models.listing import (
    LOADED,
    RELOADING,
    UNLOADED,
    EngineModel,
    from_model_list,
)
from proxy_service.translate.models.lookup import NameTable
from proxy_service.translate.models.names import fold_name, is_valid_name
from proxy_service.wire.reading import decode_reply, replace_surrogates

if TYPE_CHECKING:
    from proxy_service.wire.openai import ModelList

# Seconds; a list younger than this answers for a name it does not hold, so that invented
# names can't make the proxy question the engine at their rate.
_FRESH_SECONDS = 1.0
# Seconds; between two looks at a model that the engine is loading.
_LOADING_PAUSE_SECONDS = 0.25

logger = logging.getLogger("proxy_service.engines.catalogue")


def _check_reload(answer: bytes, model: EngineModel) -> None:
    """Raise what a reload's answer tells: the engine answers 200 even when it can't load."""
    try:
        value = cast("dict[str, object]", decode_reply(answer))
        status, reason = value["status"], value.get("error")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineProtocolError("the engine's answer to a reload is of no known shape") from error
    if status == "not_found":
        raise ModelNotFound(f"model '{model.name}' not found")
    if status not in (LOADED, RELOADING):
        raise EngineUnavailable(
            f"the engine can't load model '{model.name}': {reason or status}; its log may say why"
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
        self._failure: EngineError | None = EngineUnavailable("the engine was not asked yet")
        self._was_ready = False

    @property
    def ready(self) -> bool:
        """Whether the engine answered the last time it was asked."""
        return self._failure is None

    @property
    def failure(self) -> str:
        """Why the engine is not ready; empty when it is."""
        return self._failure.message if self._failure else ""

    def start(self) -> None:
        """Begin to ask the engine again and again."""
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Ask no more, and leave loaded what is not unloaded yet."""
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
        """Give the models that the engine lists now.

        Raises:
            EngineError: The engine can't be asked.
        """
        await self._ask()
        return self._table.models

    async def listing(self) -> tuple[bytes, str]:
        """Give the engine's own list of models as it wrote it, and its content type.

        Raises:
            EngineError: The engine can't be asked, or has no list.
        """
        async with (
            self._in_time("tell its models"),
            self._engine.request("GET", "/v1/models") as reply,
        ):
            body = await reply.body()
        if reply.status != HTTPStatus.OK:
            raise no_model_list(reply.status, body)
        return body, reply.content_type

    async def find(self, name: str) -> EngineModel:
        """Give the model that ``name`` means.

        Raises:
            ModelNotFound: The engine lists none such.
            InvalidRequest: Nor could it, as the name is not one of a model.
            EngineError: The engine can't be asked, and its last list has none such.
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
        """Keep ``model`` loaded while the context is open; gives the ns that loading took.

        With a ``keep_alive_seconds`` of 0 the model is unloaded after that, apart from the
        request: its reply is complete.
        """
        return _Use(self, model, unload=keep_alive_seconds == 0)

    async def begin_use(self, model: EngineModel) -> int:
        """Have ``model`` loaded and keep it so; see `loaded`."""
        self._in_use[model.id] += 1
        return await self.load(model)

    def end_use(self, model: EngineModel, *, unload: bool) -> None:
        """Let ``model`` be unloaded as far as this use is concerned, or have it unloaded."""
        self._in_use[model.id] -= 1
        if unload:
            self._unload_soon(model)

    async def load(self, model: EngineModel) -> int:
        """Have the engine load ``model`` unless it has; gives the ns that this took."""
        # What `find` gave may be older than a wait for a place, and the model unloaded meanwhile.
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
                # Never on a loaded model: the engine would call it "reloading" for good.
                _check_reload(await self._post("/v1/models/reload", model), model)
            await self._wait_until_loaded(model, started)
            seconds = self._clock.monotonic() - started
            self._metrics.model(model.name).load_duration.observe(seconds)
            return max(round(seconds * NS_PER_SECOND), 1)

    async def unload(self, model: EngineModel) -> None:
        """Have the engine unload ``model``, where the settings allow it and nobody uses it."""
        if not self._settings.model_unload:
            return
        async with self._loading:
            # No probe meanwhile: its answer would be older than what happens here.
            async with self._asking:
                current = self._table.find(model.id)
                if current is None or current.status != LOADED or self._in_use[model.id]:
                    return
                # Said before it is so: whoever comes now waits for the lock and loads it again.
                # The engine never answers a request to a model that it has unloaded.
                self._table = self._table.with_status(current, UNLOADED)
                # Bounded, for everyone who asks what the engine serves waits for it.
                async with self._in_time(f"unload model '{current.name}'"):
                    await self._post("/v1/models/unload", current)
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
                    "(ENGINE_REPLY_TIMEOUT sets how long it may take)"
                )
            await asyncio.sleep(_LOADING_PAUSE_SECONDS)

    def _listed(self, model: EngineModel) -> EngineModel:
        current = self._table.find(model.id)
        if current is None:
            raise ModelNotFound(f"model '{model.name}' not found: the engine lists it no more")
        return current

    async def _post(self, path: str, model: EngineModel) -> bytes:
        body = json.dumps({"model_id": model.id}).encode("ascii")
        async with self._engine.request("POST", path, body=body) as reply:
            answer = await reply.body()
        if reply.status in ABSENT:
            raise NotImplementedHere(f"the engine behind this server has no {path}")
        if reply.status != HTTPStatus.OK:
            raise from_reply(reply.status, answer, model=model.id)
        return answer

    async def _ask(self) -> None:
        came_at = self._clock.monotonic()
        async with self._asking:
            if self._asked_at >= came_at:
                return  # someone else asked while this one waited
            if self._failed_at >= came_at and self._failure is not None:
                raise self._failure
            await self._ask_now()

    async def _ask_now(self) -> None:
        started = self._clock.monotonic()
        try:
            models = await self._fetch()
        except EngineError as error:
            self._failed_at = self._clock.monotonic()
            self._note(error)
            raise
        for model in self._table.models:
            self._metrics.model(model.name).loaded.set(0)  # unless it is still among them
        self._table = NameTable(models, self._settings.model_aliases)
        self._asked_at = started
        self._note(None)

    async def _fetch(self) -> tuple[EngineModel, ...]:
        body, _ = await self.listing()
        try:
            listed = cast("ModelList", replace_surrogates(decode_reply(body)))
            return from_model_list(listed, self._details)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                "the engine's list of models is not as OpenAI's API promises; "
                "check that MISTRAL_URL is Mistral.rs"
            ) from error

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        """Bound what is no generation: so much silence means that the engine is as good as away."""
        seconds = self._settings.engine_probe_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise EngineTimeout(
                f"the engine did not {what} within {seconds:g} s "
                "(ENGINE_PROBE_TIMEOUT sets how long it may take)"
            ) from error

    def _note(self, failure: EngineError | None) -> None:
        if failure is not None and self._failure is None:
            logger.warning("engine_lost", extra={"fields": {"reason": failure.message}})
        elif failure is None and self._failure is not None:
            # The return of a lost engine is logged at the loss's level, so that a log that has
            # one has both. The first time is no news: the engine has loaded its model.
            logger.log(logging.WARNING if self._was_ready else logging.INFO, "engine_ready")
            self._was_ready = True
        self._failure = failure
        self._metrics.upstream_up.set(failure is None)
        if failure is None:
            self._metrics.upstream_last_success.set(self._clock.time_ns() / NS_PER_SECOND)
        for model in self._table.models:
            loaded = failure is None and model.status == LOADED
            self._metrics.model(model.name).loaded.set(loaded)


class _Use(AbstractAsyncContextManager[int]):
    """One use of a model; as a class because every generation is one."""

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
