"""The dashboard in a real browser, on a real stack under traffic."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import look, started_browser
from tests.e2e.conftest import with_ports
from tests.e2e.harness import Stack, address_in_docker, eventually, fetch, new_stack
from tests.observability.queries import by_title
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

pytestmark = pytest.mark.e2e

# Two requests at the engine and eight clients, so that there is a queue.
BUSY = {"maxConcurrentRequests": "2", "scrapeIntervalSeconds": "5", "waitSeconds": "300"}
CLIENTS = 8
# Requests that must have ended, so that the error budget is judged, and scrapes of them.
REQUESTS = 150
SCRAPES = 8

# Only the Mistral.rs server has these; neither engine of these tests is one.
OF_MISTRALRS = {
    title
    for title, panel in by_title().items()
    if all("mistralrs_" in target["expr"] for target in panel["targets"])
}
# Panels that are meant to be empty with the embedded engine, which has its only model loaded.
EMPTY_WITH_ONE_MODEL = OF_MISTRALRS | {
    "Loads by model",
    "Load time by model",
    "Load time distribution",
}
# The stand-in has no metrics at all, and answers at once.
EMPTY_WITH_TWO_MODELS = EMPTY_WITH_ONE_MODEL | {
    "Engine CPU",
    "Engine memory",
    "Waiting in the queue",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def one_model(
    base_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Yield a stack with the embedded engine, under traffic."""
    settings = with_ports({**base_settings, **BUSY})
    with new_stack(tmp_path_factory.mktemp("one"), settings) as stack, under_traffic(stack):
        yield stack


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a stack whose engine is a stand-in with two models, under traffic."""
    with ScriptedEngine(host=address_in_docker()) as engine:
        url = f"http://host.docker.internal:{engine.port}"
        settings = with_ports({"engine": "external", "mistralUrl": url, **BUSY})
        with new_stack(tmp_path_factory.mktemp("two"), settings) as stack, under_traffic(stack):
            yield stack


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_panel_works_with_one_model(browser: Browser, one_model: Stack, theme: str) -> None:
    _assert_works(browser, one_model, EMPTY_WITH_ONE_MODEL, theme=theme, picture="one-model")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_panel_works_with_two_models(browser: Browser, two_models: Stack, theme: str) -> None:
    shown = _assert_works(
        browser, two_models, EMPTY_WITH_TWO_MODELS, theme=theme, picture="two-models"
    )
    assert shown["Output tokens per second by model"] == 2


def test_every_panel_works_with_one_of_two_models(browser: Browser, two_models: Stack) -> None:
    shown = _assert_works(
        browser, two_models, EMPTY_WITH_TWO_MODELS, theme="dark", picture="one-of-two-models",
        model=MODEL, endpoint="chat",
    )  # fmt: skip
    assert shown["Output tokens per second by model"] == 1
    assert shown["Request rate by endpoint"] == 1


def _assert_works(
    browser: Browser,
    stack: Stack,
    may_be_empty: set[str],
    *,
    theme: str,
    picture: str,
    **chosen: str,
) -> dict[str, int]:
    """Look at the dashboard; return how many series each panel has."""
    outputs = stack.outputs()
    grafana = (outputs["grafanaUrl"], outputs["grafanaUser"], outputs["grafanaAdminPassword"])
    uid = outputs["dashboardUrl"].rpartition("/")[2]
    board = fetch(f"{grafana[0]}/api/dashboards/uid/{uid}", login=grafana[1:])["dashboard"]
    looked = look(browser, grafana, board, theme=theme, picture=picture, **chosen)
    assert looked.messages == []
    assert {title: panel.errors for title, panel in looked.panels.items() if panel.errors} == {}
    empty = {title for title, panel in looked.panels.items() if not panel.series}
    assert empty <= may_be_empty
    return {title: panel.series for title, panel in looked.panels.items()}


@contextmanager
def under_traffic(stack: Stack) -> Iterator[None]:
    """Start a stack and send it requests of every kind until the block ends.

    The block begins once Prometheus has scraped enough of them.
    """
    stack.up()
    outputs = stack.outputs()
    over = Event()
    names = [model["name"] for model in fetch(f"{outputs['proxyUrl']}/api/tags")["models"]]
    with ThreadPoolExecutor(CLIENTS) as clients:
        for number in range(CLIENTS):
            clients.submit(_send, outputs["proxyUrl"], names[number % len(names)], over)
        try:
            eventually(lambda: _scraped(outputs), within=300)
            yield
        finally:
            over.set()


def _send(url: str, model: str, over: Event) -> None:
    """Send one request after the other: streamed, whole, wrong, and one that is given up."""
    chat: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me a story about the sea."}],
        "options": {"num_predict": 24},
    }
    while not over.is_set():
        for path, body in (
            ("chat", chat),
            ("chat", {**chat, "stream": False}),
            ("generate", {"model": model, "prompt": "Once", "options": {"num_predict": 8}}),
            ("chat", {**chat, "model": "no-such-model"}),
            ("chat", {**chat, "options": {"temperature": "warm"}}),
        ):
            with suppress(OSError, ValueError):
                _post(f"{url}/api/{path}", body)
        with suppress(OSError, ValueError):
            _post(f"{url}/api/chat", {**chat, "options": {"num_predict": 200}}, read=16)
            fetch(f"{url}/api/tags")


def _post(url: str, body: object, *, read: int | None = None) -> None:
    """Post JSON and read the response, or only its first bytes."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - the stack's own URL
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - same
        response.read(read)


def _scraped(outputs: dict[str, str]) -> bool:
    """Return whether Prometheus knows enough requests, over enough scrapes."""
    expr = (
        f'sum(mistral_http_requests_total{{status="success"}}) > {REQUESTS}'
        f" and on () max(count_over_time(mistral_active_requests[15m])) > {SCRAPES}"
    )
    query = urlencode({"query": expr})
    return bool(fetch(f"{outputs['prometheusUrl']}/api/v1/query?{query}")["data"]["result"])
