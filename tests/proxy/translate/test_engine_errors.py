"""The engine's errors, translated into the proxy's."""

import json

import pytest

from proxy_service.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
)
from proxy_service.translate.engine_errors import from_event, from_reply


@pytest.mark.parametrize(
    ("status", "body", "kind", "client_status"),
    [
        (500, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (422, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (500, {"message": "max_tokens must be at least 1."}, InvalidRequest, 400),
        (422, {"message": "Prompt sequence length is greater than 9"}, InvalidRequest, 400),
        (500, {"message": "model `x` is being reloaded"}, EngineUnavailable, 503),
        (500, {"message": "EnginePoisoned"}, EngineUnavailable, 503),
        (500, {"message": "boom", "partial_response": {}}, EngineRejected, 500),
        (500, {"error": {"message": "boom"}}, EngineRejected, 500),
        (503, {"message": "busy"}, EngineRejected, 503),
        (429, {"message": "slow down"}, EngineRejected, 429),
        (413, "request body too large", InvalidRequest, 413),
        (422, "Failed to deserialize", InvalidRequest, 400),
        (415, "Expected application/json", InternalError, 500),
        (422, {"message": "odd", "type": "invalid_request_error"}, InvalidRequest, 400),
        (400, {"error": {"message": "odd", "type": "invalid_request_error"}}, InvalidRequest, 400),
        (500, {"message": "odd", "type": "server_error"}, EngineRejected, 500),
        (401, {"message": "no key", "type": "invalid_request_error"}, EngineProtocolError, 502),
        (302, "", EngineProtocolError, 502),
        (400, "bad", EngineRejected, 500),
        (401, {"message": "no key"}, EngineProtocolError, 502),
        (403, "", EngineProtocolError, 502),
        (404, {"message": "not here"}, EngineProtocolError, 502),
        (405, "", EngineProtocolError, 502),
        (408, "", EngineProtocolError, 502),
        (502, "", EngineRejected, 502),
        (504, "", EngineRejected, 504),
        (500, {"message": "no kernel image is available"}, EngineRejected, 500),
        (500, {"message": "the KV cache has no schema"}, EngineRejected, 500),
        (500, {"message": "Invalid grammar: x"}, InvalidRequest, 400),
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


def reported(message: str) -> list[ProxyError]:
    """Return what becomes of a message of the engine, with each status and as an event."""
    body = json.dumps({"message": message}).encode()
    whole = [from_reply(status, body, model="m") for status in (400, 422, 500)]
    return [*whole, from_event(body, model="m")]


@pytest.mark.parametrize(
    "message",
    [
        "Prompt sequence length is greater than 2048, perhaps consider `truncate_sequence`?",
        "Sequence 7 with 9000 tokens exceeds the total KV cache capacity",
        "Received messages for a model which does not have a chat template. Either use another",
        "Tools were provided but this chat template does not handle tool usage",
        "invalid operation: Conversation roles must alternate user/assistant (in chat:1)",
        "invalid operation: System role not supported (in chat:1)",
        "Invalid grammar. unknown rule",
        "invalid reasoning effort `x`; expected one of: off, low",
        "reasoning effort `off` conflicts with enable_thinking=true",
        'Stop token "a" is also a prefix of other tokens',
        'tools[].type="shell" local skills are not supported.',
        "tool_choice references unknown function tool `f`.",
        "Only one web search configuration may be provided.",
        "Image sub-content must have `image_url` key.",
        "Anthropic tool_result content block requires `tool_use_id`.",
        "Unsupported Anthropic content block `x`.",
        "Input file exceeds the 5 byte limit.",
        "Invalid image source: expected http, https, or data URL: x",
        "Unsupported video URL scheme: ftp",
        "Unsupported URL scheme: ftp",
        "image data URL exceeds the 5 byte limit.",
        "Remote media URLs must not target local hosts.",
        "The image format could not be determined",
        "Invalid symbol 33, offset 0.",
        "Failed to deserialize the JSON body into the target type: n: cuda",
        "Failed to parse the request body as JSON: EOF while parsing",
        "argument 'top_k': out of range integral type conversion attempted",
    ],
)
def test_a_refusal_of_the_request_is_the_clients_fault(message: str) -> None:
    """Whatever the engine's status is, and in a stream, where there is none."""
    for error in reported(message):
        assert type(error) is InvalidRequest
        assert error.status == 400
        assert error.message == message


@pytest.mark.parametrize(
    "message",
    [
        "input tensor is not contiguous Layout { shape: [3, 1, 640], stride: [640, 1] }",
        "shape mismatch in matmul, lhs: [1, 2], rhs: [3, 4]",
        "unsupported dtype BF16 for op matmul",
        'DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")',
        "Failed to allocate preallocated KV cache.",
        "invalid operation: unknown method: string has no method named x",
        "No response received from the model.",
        "an invalid grammar was compiled",
    ],
)
def test_what_is_not_a_refusal_is_the_engines_fault(message: str) -> None:
    """The client gets a 500 although the engine sent a 400, and the text."""
    for error in reported(message):
        assert type(error) is EngineRejected
        assert error.status == 500
        assert error.message == message


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"1", b"<html>", b"", b'{"error":5}'])
def test_an_event_without_a_message_is_a_protocol_error(payload: bytes) -> None:
    assert type(from_event(payload, model="m")) in (EngineProtocolError, EngineRejected)


def test_a_long_message_of_the_engine_is_cut() -> None:
    """At the limit that every error text has."""
    error = from_reply(500, b'{"message": "%b"}' % (b"x" * 10_000), model="m")

    assert error.message == "x" * 2000 + "…"
