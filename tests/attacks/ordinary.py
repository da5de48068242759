"""The ordinary clients: they chat without a break, whole and streamed, and notice every failure."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final

import httpx
import ollama

from tests.attacks.observation import Event, Events

# Far above what the last request of a full queue waits for.
TIMEOUT_SECONDS: Final = 300.0
_TOKENS: Final = 10
_QUESTION: Final = "Is there fire?"
_MESSAGES: Final = [{"role": "user", "content": _QUESTION}]
_OPTIONS: Final = {"num_predict": _TOKENS}
# Pause of a sensible client after a failure.
_BACKOFF_SECONDS: Final = 1.0
_BUSY: Final = "server busy"

Ask = Callable[[], None]


class _IncompleteError(Exception):
    """A response ended without its proper end."""


def _asks(api: ollama.Client, http: httpx.Client, model: str) -> tuple[Ask, ...]:
    """Return what each client does, again and again."""

    def chat_stream() -> None:
        _check([part.done for part in api.chat(model, _MESSAGES, stream=True, options=_OPTIONS)])

    def chat() -> None:
        _check([api.chat(model, _MESSAGES, options=_OPTIONS).done])

    def generate_stream() -> None:
        parts = api.generate(model, _QUESTION, stream=True, options=_OPTIONS)
        _check([part.done for part in parts])

    def generate() -> None:
        _check([api.generate(model, _QUESTION, options=_OPTIONS).done])

    def v1_stream() -> None:
        body = {"model": model, "messages": _MESSAGES, "stream": True, "max_tokens": _TOKENS}
        with http.stream("POST", "/v1/chat/completions", json=body) as response:
            text = response.read().decode()
            if response.status_code != HTTPStatus.OK:
                raise ollama.ResponseError(text, response.status_code)
        _check([text.endswith("data: [DONE]\n\n") and '"error"' not in text])

    return chat_stream, chat, generate_stream, generate, v1_stream


def _check(done: list[bool | None]) -> None:
    if not done or not done[-1]:
        raise _IncompleteError(f"{len(done)} parts, and no end")


def _run(ask: Ask, events: Events, stop: threading.Event) -> None:
    while not stop.is_set():
        began, failure, refused = time.monotonic(), "", False
        try:
            ask()
        except Exception as error:  # noqa: BLE001  whatever went wrong is reported
            failure = repr(error)
            refused = (
                isinstance(error, ollama.ResponseError)
                and error.status_code == HTTPStatus.SERVICE_UNAVAILABLE
                and _BUSY in failure
            )
        now = time.monotonic()
        events.add(Event(now - began, failure, refused=refused))
        if failure:
            stop.wait(_BACKOFF_SECONDS)


@contextmanager
def chatting(url: str, model: str, key: str, events: Events) -> Iterator[None]:
    """Run five clients while the block runs. Its end waits for their last responses."""
    headers = {"Authorization": f"Bearer {key}"}
    with ExitStack() as opened:
        api = opened.enter_context(
            ollama.Client(host=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        )
        http = opened.enter_context(
            httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        )
        stop = threading.Event()
        threads = [
            threading.Thread(target=_run, args=(ask, events, stop))
            for ask in _asks(api, http, model)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
