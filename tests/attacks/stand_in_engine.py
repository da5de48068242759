"""The stand-in for the engine: ``python -m tests.attacks.stand_in_engine PORT``.

It generates as an engine does that works on many sequences at once: each gets a token in turn, and
all together get a limited number per second, so that a flood of requests slows down all of them.
The model `BULK_MODEL` replies with everything at once, which no engine does; whole replies of some
size would take too long otherwise.
"""

import asyncio
import json
import re
import sys
from functools import cache
from typing import Final

import uvloop

from ops.processes.ports import LOOPBACK
from proxy_service.translate.embeddings import MAX_INPUTS
from tests.proxy.scripted_engine import DONE, USAGE, delta_event

MODEL: Final = "attacked-model"
BULK_MODEL: Final = "attacked-bulk-model"

# Sequences that get a token in the same step, Mistral.rs' own default, and how long a step takes.
_AT_ONCE: Final = 32
_STEP_SECONDS: Final = 0.02
_TOKENS: Final = 16
_TOKEN: Final = " fire"
_DIMENSIONS: Final = 384  # of small embedding models
_MOST_VECTORS: Final = MAX_INPUTS
_STREAMED: Final = re.compile(rb'"stream" ?: ?true')
_LIMIT: Final = re.compile(rb'"max_(?:completion_|output_)?tokens" ?: ?(\d+)')
_BULK: Final = b'"model":"%b"' % BULK_MODEL.encode()
_LENGTH: Final = re.compile(rb"content-length: ?(\d+)", re.IGNORECASE)


class _Engine:
    def __init__(self) -> None:
        self._steps = asyncio.Semaphore(_AT_ONCE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(head.split(b" ", 2)[1].decode(), body, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy has disconnected
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == "/v1/models":
            models = [_model(MODEL), _model(BULK_MODEL)]
            writer.write(_whole({"object": "list", "data": models}))
        elif path.startswith("/v1/models/"):
            sent = json.loads(body)
            writer.write(_whole({"model_id": sent["model_id"], "status": "loaded"}))
        elif path == "/v1/embeddings":
            await self._steps_of(1)
            writer.write(_vectors(min(len(_inputs(body)), _MOST_VECTORS)))
        elif path in ("/v1/chat/completions", "/v1/completions"):
            await self._generate(body, writer)
        else:
            writer.write(_whole({"message": "not found"}, "404 Not Found"))

    async def _generate(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        limit = _LIMIT.search(body)
        tokens = int(limit[1]) if limit else _TOKENS
        if not _STREAMED.search(body):
            await self._steps_of(1 if _BULK in body else tokens)
            writer.write(_whole(_completion(_TOKEN * tokens)))
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(tokens):
            await self._steps_of(1)
            writer.write(_framed(_DELTA))
            await writer.drain()
        writer.write(_framed(_LAST) + b"0\r\n\r\n")

    async def _steps_of(self, tokens: int) -> None:
        """Wait until a sequence has got so many tokens, in turn with the others."""
        for _ in range(tokens):
            async with self._steps:
                await asyncio.sleep(_STEP_SECONDS)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "status": "loaded"}


def _inputs(body: bytes) -> list[object]:
    found = json.loads(body)["input"]
    return found if isinstance(found, list) else [found]


def _completion(text: str) -> dict[str, object]:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        "logprobs": None,
        "text": text,
    }
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


def _whole(value: object, status: str = "200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@cache
def _vectors(number: int) -> bytes:
    vector = [round(0.001 * (place - _DIMENSIONS / 2), 3) for place in range(_DIMENSIONS)]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(number)]
    return _whole({"object": "list", "data": data, "usage": {"prompt_tokens": number}})


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_DELTA: Final = delta_event(_TOKEN)
_LAST: Final = delta_event("", finish="stop", usage=USAGE) + DONE


async def _main() -> None:
    server = await asyncio.start_server(
        _Engine().serve, LOOPBACK, int(sys.argv[1]), backlog=1024, limit=1024 * 1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
