"""`python -m tests.fuzz.parsers NAME [libFuzzer's options]`: fuzz one parser with Atheris.

Atheris is guided by coverage, so that it reaches code that generated inputs don't. Each target
takes bytes, and raises if the parser doesn't do what it should.
"""

import sys
from collections.abc import Callable, Iterator

import atheris

with atheris.instrument_imports(include=["proxy_service", "embedded_engine"]):
    from proxy_service.engines.reply import ReplyReader
    from proxy_service.errors import EngineProtocolError, ProxyError
    from proxy_service.streaming.ollama import OllamaStream, StreamOptions
    from proxy_service.streaming.passthrough import PassthroughStream
    from proxy_service.streaming.sse import SSEDecoder
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
    "engine_bodies": engine_bodies,
    "events": events,
    "streams": streams,
    "passed_on": passed_on,
    "replies": replies,
    "responses": responses,
    "model_files": model_files,
}

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
