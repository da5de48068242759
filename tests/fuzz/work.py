"""What the services do with the bytes of clients, of engines and of model files: all pure work.

`WHOLE` has what is done with a body that has arrived; `IN_PIECES` what is done with each piece as
it arrives. The results are for checks; a refusal is None.
"""

import io
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from embedded_engine.errors import RequestError
from embedded_engine.formats.details import gguf_details, safetensors_details
from embedded_engine.formats.gguf import NotGgufError, read_header
from embedded_engine.formats.safetensors import NotSafetensorsError, count_elements
from embedded_engine.formats.tokenizer import needs_tokenizer, to_tokenizer_json
from embedded_engine.wire import bodies, limits, requests
from proxy_service.clock import Moment, SystemClock
from proxy_service.engines.reply import ReplyReader
from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.server.access import AllowedHosts, AllowedOrigins, key_in
from proxy_service.server.budgets import BodyBudget, HeadBudget
from proxy_service.server.request import IncomingRequest, RequestReader
from proxy_service.settings.values import DEFAULT_BIND
from proxy_service.streaming.ollama import OllamaStream, StreamOptions
from proxy_service.streaming.passthrough import PassthroughStream
from proxy_service.streaming.sse import Event, SSEDecoder
from proxy_service.translate.context import encode_turns
from proxy_service.translate.embeddings import (
    read_inputs,
    read_reply,
    read_vector,
    shorten,
    to_engine_embeddings,
)
from proxy_service.translate.engine_errors import from_reply, parse_reply
from proxy_service.translate.engine_tools import refuse_engine_run, refuse_engine_tools
from proxy_service.translate.models.listing import from_model_list
from proxy_service.translate.models.lookup import NameTable
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.models.names import is_valid_name
from proxy_service.translate.models.rendering import to_tag
from proxy_service.translate.options import MAX_STOP_STRINGS, stop_strings, unknown_options
from proxy_service.translate.replies import (
    finish_reason_of,
    read_completion,
    to_ollama_chat,
    to_ollama_generate,
    to_usage,
)
from proxy_service.translate.requests import (
    to_engine_chat,
    to_engine_format,
    to_engine_generate,
    to_engine_raw,
)
from proxy_service.wire.errors import Dialect, error_body
from proxy_service.wire.ollama import parse_chat, parse_generate, parse_keep_alive
from proxy_service.wire.reading import Fields, decode_object, decode_reply, fold_keys
from proxy_service.wire.writing import to_json

if TYPE_CHECKING:
    from proxy_service.wire.engine import ModelList

AT = Moment("2026-01-01T00:00:00.000000Z", 1)
MAX_BODY_BYTES = 1024 * 1024
MODEL = EngineModel("m")
MODELS = NameTable((MODEL,), {})
# What a malformed reply of the engine raises, and the routes turn into an error.
MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
# Stop strings that nearly match, in texts of few letters.
STOPS = tuple("a" * 40 + chr(ord("b") + number) for number in range(MAX_STOP_STRINGS))


def _refused(error: ProxyError) -> None:
    error_body(error, Dialect.OPENAI)


# Requests.


def chat(body: bytes) -> bytes | None:
    """Return the body for the engine."""
    try:
        request = parse_chat(body)
        refuse_engine_run(request.tools)
        MODELS.find(request.common.model)
        unknown_options(request.common.options)
        stops = stop_strings(request.common.options)
        OllamaStream(StreamOptions(model="m", chat=True, stops=stops))
        return to_json(to_engine_chat(request, MODEL, to_engine_format(request.common.format)))
    except ProxyError as error:
        _refused(error)
        return None


def generate(body: bytes) -> bytes | None:
    """Return the body for the engine."""
    try:
        request = parse_generate(body)
        translate = to_engine_raw if request.raw else to_engine_generate
        encode_turns([("user", request.prompt)])
        return to_json(translate(request, MODEL, to_engine_format(request.common.format)))
    except ProxyError as error:
        _refused(error)
        return None


def embed(body: bytes) -> bytes | None:
    """Return the body for the engine."""
    try:
        fields = Fields.parse(body, "EmbedRequest")
        parse_keep_alive(fields.raw("keep_alive"))
        inputs = read_inputs(fields.raw("input"))
        fields.integer("dimensions")
        return to_json(to_engine_embeddings(inputs, engine_id="m", truncate=True))
    except ProxyError as error:
        _refused(error)
        return None


def models(body: bytes) -> None:
    """Read the names in a request about models."""
    try:
        fields = Fields.parse(body, "ShowRequest")
        for field in ("model", "name", "source", "destination"):
            name = fields.text(field)
            MODELS.find(name)
            is_valid_name(name)
    except ProxyError as error:
        _refused(error)


def openai(body: bytes) -> bytes | None:
    """Return a request to ``/v1`` with the engine's name of the model."""
    try:
        fields = fold_keys(decode_object(body, "ChatCompletionRequest"))
        refuse_engine_tools(fields)
        return to_json(fields | {"model": "m"})
    except ProxyError as error:
        _refused(error)
        return None


def engine_chat(body: bytes) -> None:
    """Read a request to the embedded engine's chat completions."""
    with suppress(RequestError):
        arguments = requests.chat_arguments(bodies.read_chat(body), {})
        limits.within_limits(arguments, 4096)


def engine_completion(body: bytes) -> None:
    """Read a request to the embedded engine's completions."""
    with suppress(RequestError):
        arguments = requests.completion_arguments(bodies.read_completion(body), {})
        limits.within_limits(arguments, 4096)


def incoming(pieces: Iterable[bytes]) -> list[IncomingRequest]:
    """Return the requests on one connection, after the checks of their heads."""
    reader = RequestReader(
        max_body_bytes=MAX_BODY_BYTES,
        bodies=BodyBudget(4 * MAX_BODY_BYTES, SystemClock()),
        heads=HeadBudget(),
        wake=lambda: None,
    )
    origins, hosts = AllowedOrigins(("https://*.example.*",)), AllowedHosts(DEFAULT_BIND, ())
    for piece in pieces:
        reader.feed(piece)
    for request in reader.requests:
        host = request.headers.get("host", "")
        origins.allows(request.headers.get("origin", ""), host=host)
        hosts.allows(host)
        key_in(request.headers)
    return [*reader.requests]


# Replies of the engine.


def _stream(options: StreamOptions, pieces: Iterable[bytes]) -> list[bytes]:
    """Return the client's bytes; an error or "done" ends them."""
    stream, parts = OllamaStream(options), []
    for piece in pieces:
        batch = stream.feed(piece, AT)
        parts.append(batch.data)
        if stream.done or batch.error:
            return parts
    return [*parts, stream.close(AT).data]


def chat_stream(pieces: Iterable[bytes]) -> list[bytes]:
    """Translate a stream of chat completions."""
    return _stream(StreamOptions(model="m", chat=True, top_logprobs=20), pieces)


def generate_stream(pieces: Iterable[bytes]) -> list[bytes]:
    """Translate a stream for generate."""

    def context(text: str) -> dict[str, object]:
        return {"context": encode_turns([("user", "x"), ("assistant", text)])}

    return _stream(StreamOptions(model="m", chat=False, context_of=context), pieces)


def stopped_stream(pieces: Iterable[bytes]) -> list[bytes]:
    """Translate a stream with stop strings."""
    return _stream(StreamOptions(model="m", chat=True, stops=STOPS, top_logprobs=1), pieces)


def passed_on_stream(pieces: Iterable[bytes]) -> int:
    """Count the tokens of a stream that is passed through."""
    stream = PassthroughStream(model="m")
    with suppress(ProxyError):
        for piece in pieces:
            stream.feed(piece)
        stream.close()
    return stream.tokens


def events(pieces: Iterable[bytes]) -> list[Event]:
    """Decode server-sent events."""
    decoder = SSEDecoder()
    with suppress(ProxyError):
        decoded = [event for piece in pieces for event in decoder.feed(piece)]
        return decoded + decoder.close()
    return []


def reply(pieces: Iterable[bytes]) -> list[bytes]:
    """Read a reply over HTTP."""
    reader, parts = ReplyReader(), []
    with suppress(EngineProtocolError):
        for piece in pieces:
            reader.feed(piece)
            parts.append(reader.take())
            if reader.complete:
                return parts
        reader.close()
    return parts


def completion(body: bytes) -> bytes | None:
    """Translate a whole reply."""
    try:
        read = read_completion(body, model="m")
        for translate in (to_ollama_chat, to_ollama_generate):
            translated = translate(read, model="m", at=AT, load_ns=0, top_logprobs=20)
        return to_json(translated)
    except MALFORMED:
        return None
    except ProxyError as error:
        _refused(error)
        return None


def passed_on(body: bytes) -> None:
    """Read what the metrics need of a whole reply that is passed through."""
    with suppress(ProxyError):
        value = parse_reply(body)
        if isinstance(value, dict):
            finish_reason_of(value)
            to_usage(value.get("usage"))


def embeddings(body: bytes) -> bytes | None:
    """Translate embeddings; the reply says how many inputs there were."""
    try:
        items, _ = read_reply(body, expected=body.count(b'"index"'))
        return to_json([shorten(read_vector(item)[1], 0) for item in items])
    except ProxyError as error:
        _refused(error)
        return None


def engine_error(body: bytes) -> None:
    """Translate an error."""
    _refused(from_reply(500, body, model="m"))


def model_list(body: bytes) -> None:
    """Read a list of models, and write it for clients."""
    with suppress(ProxyError, *MALFORMED):
        listed = from_model_list(cast("ModelList", decode_reply(body)), {})
        NameTable(listed, {})
        to_json([to_tag(model) for model in listed])


# Model files.


def gguf(data: bytes) -> None:
    """Read the header of a GGUF file."""
    with suppress(NotGgufError):
        header = read_header(io.BytesIO(data))
        json.dumps(gguf_details(header))
        if needs_tokenizer(header.metadata):
            json.dumps(to_tokenizer_json(header.metadata))


def safetensors(data: bytes) -> None:
    """Read the header of a safetensors file."""
    with suppress(NotSafetensorsError):
        json.dumps(safetensors_details("llama", count_elements(io.BytesIO(data))))


WHOLE: dict[str, Callable[[bytes], object]] = {
    "chat": chat,
    "generate": generate,
    "embed": embed,
    "models": models,
    "openai": openai,
    "engine_chat": engine_chat,
    "engine_completion": engine_completion,
    "completion": completion,
    "passed_on": passed_on,
    "embeddings": embeddings,
    "engine_error": engine_error,
    "model_list": model_list,
    "gguf": gguf,
    "safetensors": safetensors,
}
IN_PIECES: dict[str, Callable[[Iterable[bytes]], object]] = {
    "incoming": incoming,
    "chat_stream": chat_stream,
    "generate_stream": generate_stream,
    "stopped_stream": stopped_stream,
    "passed_on_stream": passed_on_stream,
    "events": events,
    "reply": reply,
}
