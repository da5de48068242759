"""What the commands ask the proxy, and with which keys."""

from collections.abc import Mapping

import pytest

from ops.clients.proxy import ProxyApi, keys_of
from ops.terminal.console import OperatorError
from tests.ops.local_http import Request, Response, serving

FIRST, SECOND, METRICS = "first-key-of-two", "second-key-of-two", "key-of-the-metrics"


@pytest.mark.parametrize(
    ("body", "model"),
    [(b'{"models": [{"name": "a"}, {"name": "b"}]}', "a"), (b'{"models": []}', None)],
)
def test_the_first_model_is_the_first_of_the_list(body: bytes, model: str | None) -> None:
    with serving(lambda _request: Response(body=body)) as url:
        assert ProxyApi(url).first_model() == model


def test_metrics_are_asked_for_with_their_own_key() -> None:
    keys: dict[str, str] = {}

    def handle(request: Request) -> Response:
        keys[request.path] = request.headers.get("Authorization", "")
        return Response()

    with serving(handle) as url:
        proxy = ProxyApi(url, FIRST, METRICS)
        proxy.get("/api/version")
        proxy.metrics()
        ProxyApi(url, FIRST).metrics("/api/metrics")

    assert keys == {
        "/api/version": f"Bearer {FIRST}",
        "/metrics": f"Bearer {METRICS}",
        "/api/metrics": f"Bearer {FIRST}",
    }


@pytest.mark.parametrize(
    ("environ", "keys"),
    [
        ({}, (None, None)),
        ({"API_KEY": f"{FIRST},{SECOND}"}, (FIRST, FIRST)),
        ({"API_KEY": FIRST, "METRICS_KEY": METRICS}, (FIRST, METRICS)),
        ({"METRICS_KEY": METRICS, "BIND_ADDRESS": "not read here"}, (None, METRICS)),
    ],
)
def test_keys_are_read_as_the_proxy_reads_them(
    environ: Mapping[str, str], keys: tuple[str | None, str | None]
) -> None:
    assert keys_of(environ) == keys


def test_a_key_that_the_proxy_would_refuse_is_an_error() -> None:
    with pytest.raises(OperatorError, match="API_KEY"):
        keys_of({"API_KEY": "short"})
