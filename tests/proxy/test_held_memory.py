"""How much memory a request holds while it waits, and what is left of it afterwards."""

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import MODEL, Reply, ScriptedEngine, Step, delta_event
from tests.proxy.server.test_connection import Client, request

# Decoded, each of these objects takes more than twenty times as much memory.
OBJECTS = 50_000
MANY = b"[" + b'{"":0},' * OBJECTS + b"0]"
USER = b'{"model":"%s","messages":[{"role":"user","content":"x"}],"prompt":"x",' % MODEL.encode()
TOOLS = USER + b'"tools":[{"x":' + MANY + b"}]}"
OPTIONS = USER + b'"options":{"x":' + MANY + b"}}"
FORMAT = USER + b'"stream":false,"format":{"x":' + MANY + b"}}"
IGNORED = USER + b'"x":' + MANY + b"}"
MESSAGES = USER + b'"max_tokens":1,"tools":[{"name":"x","input_schema":{"x":' + MANY + b"}}]}"
RESPONSES = b'{"model":"%s","input":"x","metadata":{"x":%s}}' % (MODEL.encode(), MANY)
LONG_TEXT = b'"%s"' % (b"x" * MIB)
INPUTS = b'{"model":"%s","x":%s,"input":"x","prompt":"x"}' % (MODEL.encode(), MANY)


@pytest.fixture
def held() -> Iterator[Callable[[], int]]:
    """Return by how many bytes the memory of this process has grown."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", TOOLS),
        ("/api/chat", OPTIONS),
        ("/api/generate", FORMAT),
        ("/api/embed", INPUTS),
        ("/api/embeddings", INPUTS),
        ("/v1/chat/completions", IGNORED),
        ("/v1/messages", MESSAGES),
        ("/v1/responses", RESPONSES),
    ],
)
def test_a_request_holds_only_its_body_while_the_engine_works(
    engine: ScriptedEngine, proxy: RunningProxy, held: Callable[[], int], path: str, body: bytes
) -> None:
    """What was decoded of it is gone. The engine in this process holds the body, too."""
    for engine_path in ("/v1/chat/completions", "/v1/embeddings"):
        engine.on(engine_path, Reply((Step.STALL,), raw=True))
    proxy.probe()
    with Client(proxy) as client:
        client.send(request(body, path=path))
        assert eventually(lambda: any(call.silent.is_set() for call in engine.received))
        assert held() < 10 * len(body)


@pytest.mark.parametrize(
    "path", ["/api/chat", "/api/generate", "/api/embed", "/v1/chat/completions", "/api/pull"]
)
def test_a_request_holds_only_its_body_while_the_engine_lists_its_models(
    engine: ScriptedEngine, settings: ProxySettings, held: Callable[[], int], path: str
) -> None:
    body = IGNORED.replace(MODEL.encode(), b"unknown")
    with RunningProxy(settings) as proxy, Client(proxy) as client:
        proxy.probe()
        proxy.put_forward(10)
        engine.on("/v1/models", Reply((Step.STALL,), raw=True))
        client.send(request(body, path=path))
        assert eventually(lambda: any(call.silent.is_set() for call in engine.received))
        assert held() < 10 * len(body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", USER.replace(b'"x"', LONG_TEXT, 1) + b'"max_tokens":1,"stream":true}'),
        (
            "/v1/responses",
            b'{"model":"%s","input":%s,"instructions":%s,"metadata":{"x":%s},"stream":true}'
            % (MODEL.encode(), LONG_TEXT, LONG_TEXT, LONG_TEXT),
        ),
    ],
)
def test_a_translated_request_is_not_held_while_its_reply_arrives(
    engine: ScriptedEngine, proxy: RunningProxy, held: Callable[[], int], path: str, body: bytes
) -> None:
    """The engine has it by then, and a generation may take an hour."""
    reply = Reply((delta_event("x"), Step.STALL), content_type="text/event-stream")
    engine.on("/v1/chat/completions", reply)
    with Client(proxy) as client:
        client.send(request(body, path=path))
        assert eventually(lambda: any(call.silent.is_set() for call in engine.received))
        engine.received.clear()
        assert eventually(lambda: held() < MIB // 2)


def test_names_of_options_are_not_kept(proxy: RunningProxy, held: Callable[[], int]) -> None:
    """They are remembered so that each is logged once."""
    for number in range(10):
        name = b"%d" % number + b"x" * 3 * MIB
        with Client(proxy) as client:
            client.send(request(USER + b'"options":{"' + name + b'":1}}'))
            assert client.response()[0].status == 200
    assert eventually(lambda: held() < 10 * MIB)


def test_requests_that_failed_are_not_kept(
    settings: ProxySettings, held: Callable[[], int]
) -> None:
    """Although all have the same error, that of the last probe."""
    body = USER.replace(MODEL.encode(), b"unknown") + b'"x":"' + b"x" * MIB + b'"}'
    with RunningProxy(replace(settings, engine_url="http://127.0.0.1:1")) as proxy:
        for _ in range(20):
            with Client(proxy) as client:
                client.send(request(body))
                assert client.response()[0].status == 503
        assert eventually(lambda: held() < 5 * MIB)
