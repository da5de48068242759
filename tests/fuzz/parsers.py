"""`python -m tests.fuzz.parsers NAME [libFuzzer's options]`: fuzz one parser with Atheris.

Atheris is guided by coverage, so that it reaches code that generated inputs don't. Each target
takes bytes, and raises if the parser doesn't do what it should.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["proxy_service", "embedded_engine"]):
    from proxy_service.engines.reply import ReplyReader
    from proxy_service.errors import EngineProtocolError, ProxyError
    from proxy_service.streaming.anthropic import MessagesStream
    from proxy_service.streaming.ollama import OllamaStream, StreamOptions
    from proxy_service.streaming.passthrough import PassthroughStream
    from proxy_service.streaming.responses import ResponsesStream
    from proxy_service.streaming.sse import SSEDecoder
    from proxy_service.translate.anthropic import requests as anthropic
    from proxy_service.translate.models.model import EngineModel
    from proxy_service.translate.responses import requests as newer
    from proxy_service.translate.responses.replies import Frame
    from proxy_service.translate.responses.tools import Tools
    from proxy_service.wire.anthropic import read_messages
    from proxy_service.wire.compression import CODINGS, unpack
    from proxy_service.wire.reading import parse_object
    from proxy_service.wire.responses import read_request
    from proxy_service.wire.writing import to_json
    from tests.fuzz import work

from tests.fuzz.target import strictly


def pieces(data: bytes) -> Iterator[bytes]:
    """Split the input into pieces whose size is its first byte."""
    step = data[0] if data and data[0] else 1
    for begin in range(1, len(data), step):
        yield data[begin : begin + step]


def requests(data: bytes) -> None:
    """Parse requests over HTTP; check that each is complete or has an error."""
    for request in work.incoming(pieces(data)):
        assert len(request.body) <= work.MAX_BODY_BYTES
        assert not (request.complete and request.failure)


def bodies(data: bytes) -> None:
    """Parse request bodies; check that each is translated or refused."""
    for read in (work.chat, work.generate, work.embed, work.openai):
        written = read(data)
        if written is not None:
            strictly(written.decode())
    work.models(data)


def engine_bodies(data: bytes) -> None:
    """Parse requests to the embedded engine."""
    work.engine_chat(data)
    work.engine_completion(data)


def translated_bodies(data: bytes) -> None:
    """Parse bodies of the translated APIs; check that each is translated or refused."""
    try:
        fields = parse_object(data, "Request")
    except ProxyError:
        return
    with suppress(ProxyError):
        messages = anthropic.to_engine_chat(read_messages(fields), EngineModel("m"))
        strictly(to_json(messages).decode())
    with suppress(ProxyError):
        request = read_request(fields)
        body = newer.to_engine_chat(request, Tools(request), EngineModel("m"))
        strictly(to_json(body).decode())


def compressed(data: bytes) -> None:
    """Unpack bodies; check that each is within the limit or refused."""
    for coding in CODINGS:
        with suppress(ProxyError):
            assert (
                len(unpack(data[1:], coding, limit_bytes=work.MAX_BODY_BYTES))
                <= work.MAX_BODY_BYTES
            )


def events(data: bytes) -> None:
    """Decode server-sent events; check that they are the same for any split."""
    decoder, whole = SSEDecoder(), SSEDecoder()
    split = [event for piece in pieces(data) for event in decoder.feed(piece)]
    assert split + decoder.close() == whole.feed(data[1:]) + whole.close()


def streams(data: bytes) -> None:
    """Translate the engine's streams; check that each line is JSON and at most one says done."""
    for options in (
        StreamOptions(model="m", chat=True, top_logprobs=1),
        StreamOptions(model="m", chat=False, stops=("ab",), context_of=lambda _: {"context": [1]}),
    ):
        stream = OllamaStream(options)
        batches = []
        for piece in pieces(data):
            batches.append(stream.feed(piece, work.AT))
            if stream.done or batches[-1].error:
                break
        else:
            batches.append(stream.close(work.AT))
        lines = b"".join(batch.data for batch in batches).decode("ascii").split("\n")
        assert lines.pop() == ""
        assert sum('"done":true' in line and "done_reason" in line for line in lines) <= 1
        for line in lines:
            assert isinstance(strictly(line), dict)
        assert stream.done or batches[-1].error


def translated_streams(data: bytes) -> None:
    """Translate streams into events; check that each is JSON and the last one ends the reply."""
    tools = Tools(read_request({"tools": [{"type": "custom", "name": "x"}]})).names()
    frame = Frame(sent=b"{}", tools=tools, model="m", key="k", created_at=1)
    for stream in (
        MessagesStream(message_id="i", model="m", stops=("ab",)),
        ResponsesStream(frame),
    ):
        batches = []
        for piece in pieces(data):
            batches.append(stream.feed(piece))
            if stream.done or batches[-1].error:
                break
        else:
            batches.append(stream.close())
        assert stream.done or batches[-1].error
        sent = b"".join(batch.data for batch in batches)
        values = [strictly(event.data.decode()) for event in SSEDecoder().feed(sent)]
        kinds = [value["type"] for value in values if isinstance(value, dict)]
        assert len(kinds) == len(values)
        last = ("message_stop", "response.completed", "response.incomplete")
        assert sum(kind in last for kind in kinds) == stream.done


def passed_on(data: bytes) -> None:
    """Pass streams through; check that the bytes are unchanged and the counts valid."""
    stream = PassthroughStream(model="m")
    try:
        for piece in pieces(data):
            assert stream.feed(piece).data == piece
        stream.close()
    except ProxyError:
        return
    assert stream.tokens >= 0
    assert stream.finish_reason is None or isinstance(stream.finish_reason, str)


def replies(data: bytes) -> None:
    """Read whole replies; check that each is translated or refused."""
    for read in (work.completion, work.embeddings):
        written = read(data)
        if written is not None:
            strictly(written.decode())
    work.passed_on(data)
    work.engine_error(data)
    work.model_list(data)


def responses(data: bytes) -> None:
    """Parse the engine's replies over HTTP; check that each is complete or an error."""
    reader = ReplyReader()
    try:
        for piece in pieces(data):
            reader.feed(piece)
            reader.take()
            if reader.complete:
                return
        reader.close()
    except EngineProtocolError:
        return
    assert reader.complete


def model_files(data: bytes) -> None:
    """Read the headers of model files; check that each is described or refused."""
    work.gguf(data[1:])
    work.safetensors(data[1:])


TARGETS: dict[str, Callable[[bytes], None]] = {
    "requests": requests,
    "bodies": bodies,
    "translated_bodies": translated_bodies,
    "compressed": compressed,
    "engine_bodies": engine_bodies,
    "events": events,
    "streams": streams,
    "translated_streams": translated_streams,
    "passed_on": passed_on,
    "replies": replies,
    "responses": responses,
    "model_files": model_files,
}

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
