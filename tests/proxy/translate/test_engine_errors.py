"""The engine's errors, translated into the proxy's."""

import json

import pytest

from proxy_service.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InternalError,
    ModelNotFound,
    ProxyError,
)
from proxy_service.translate.engine_errors import from_event, from_reply


@pytest.mark.parametrize(
    ("status", "body", "kind", "client_status"),
    [
        (500, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (422, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (500, {"message": "max_tokens must be at least 1."}, EngineRejected, 400),
        (422, {"message": "Prompt sequence length is greater than 9"}, EngineRejected, 400),
        (500, {"message": "model `x` is being reloaded"}, EngineUnavailable, 503),
        (500, {"message": "EnginePoisoned"}, EngineUnavailable, 503),
        (500, {"message": "boom", "partial_response": {}}, EngineRejected, 500),
        (500, {"error": {"message": "boom"}}, EngineRejected, 500),
        (503, {"message": "busy"}, EngineRejected, 503),
        (429, {"message": "slow down"}, EngineRejected, 429),
        (413, "request body too large", EngineRejected, 413),
        (422, "Failed to deserialize", EngineRejected, 400),
        (415, "Expected application/json", InternalError, 500),
        (302, "", EngineProtocolError, 502),
        (400, "bad", EngineRejected, 400),
        (401, {"message": "no key"}, EngineProtocolError, 502),
        (403, "", EngineProtocolError, 502),
        (404, {"message": "not here"}, EngineProtocolError, 502),
        (405, "", EngineProtocolError, 502),
        (408, "", EngineProtocolError, 502),
        (502, "", EngineRejected, 502),
        (504, "", EngineRejected, 504),
        (500, {"message": "no kernel image is available"}, EngineRejected, 500),
        (500, {"message": "the KV cache has no schema"}, EngineRejected, 500),
        (500, {"message": "Invalid grammar: x"}, EngineRejected, 400),
        (500, "<html>", EngineRejected, 500),
    ],
)
def test_the_engines_errors_are_translated(
    status: int, body: object, kind: type[ProxyError], client_status: int
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = from_reply(status, raw, model="asked")

    assert type(error) is kind
    assert error.status == client_status
    assert "<html>" not in error.message


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"1", b"<html>", b"", b'{"error":5}'])
def test_an_event_without_a_message_is_a_protocol_error(payload: bytes) -> None:
    assert type(from_event(payload, model="m")) in (EngineProtocolError, EngineRejected)


def test_a_long_message_of_the_engine_is_cut() -> None:
    """At the limit that every error text has."""
    error = from_reply(500, b'{"message": "%b"}' % (b"x" * 10_000), model="m")

    assert error.message == "x" * 2000 + "…"
