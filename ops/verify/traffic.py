"""The test traffic: a chat, a generation, a streamed chat, and an unknown model."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.clients.proxy import ProxyApi

OPTIONS = {"temperature": 0, "num_predict": 16}
UNKNOWN_MODEL = "no-such-model-verify"
QUESTION = "Say hello."


class TrafficError(Exception):
    """A request of the test traffic failed; the message says which and how."""


@dataclass(frozen=True)
class Reported:
    """What the responses reported, and so what the counters must have gained.

    Attributes:
        tokens: Sum of the responses' ``eval_count``.
        chunks: Number of chunks with content.
    """

    tokens: int
    chunks: int


def send_traffic(
    proxy: ProxyApi, model: str, *, timeout: float, while_in_flight: Callable[[], None]
) -> Reported:
    """Send a chat, a generation, a streamed chat, and a chat with an unknown model.

    Args:
        proxy: The proxy.
        model: Model for all but the last.
        timeout: Timeout of one generation in seconds.
        while_in_flight: Called while the streamed request is certain to be in flight.

    Raises:
        TrafficError: A response is not what Ollama would send.
        UnreachableError: A request got no response.
    """
    chat = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "options": OPTIONS,
    }
    generate = {"model": model, "prompt": QUESTION, "options": OPTIONS}
    tokens = 0
    for path, body in (("/api/chat", chat), ("/api/generate", generate)):
        response = proxy.post(path, {**body, "stream": False}, timeout=timeout)
        tokens += _eval_count(path, response.status, response.text)
    lines = _stream(proxy, chat, timeout, while_in_flight)
    refused = proxy.post("/api/chat", {**chat, "model": UNKNOWN_MODEL}, timeout=timeout)
    if refused.status != http.client.NOT_FOUND:
        raise TrafficError(f"a chat with an unknown model got {refused.status} instead of 404")
    return Reported(
        tokens=tokens + _eval_count("/api/chat (streamed)", http.client.OK, lines[-1]),
        chunks=sum(_has_content(json.loads(line)) for line in lines),
    )


def _stream(
    proxy: ProxyApi, body: Mapping[str, Any], timeout: float, while_in_flight: Callable[[], None]
) -> list[str]:
    """Stream a chat and return its lines.

    The request's body is sent after ``while_in_flight``, so that the request can't end before it.
    """
    parts = urlsplit(proxy.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    data = json.dumps({**body, "stream": True}).encode()
    try:
        connection.putrequest("POST", f"{parts.path}/api/chat")
        for name, value in {"Content-Type": "application/json", **proxy.headers}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        while_in_flight()
        connection.send(data)
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise TrafficError(f"the streamed chat failed: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK or not text.strip():
        raise TrafficError(f"the streamed chat got {response.status}: {text[:200]}")
    return text.strip().split("\n")  # not splitlines: JSON strings may hold other line separators


def _eval_count(path: str, status: int, line: str) -> int:
    try:
        final = json.loads(line)
        if status == http.client.OK and final["done"]:
            return int(final["eval_count"])
    except (ValueError, KeyError, TypeError):
        pass
    raise TrafficError(f"{path} responded with {status}: {line[:200]}")


def _has_content(chunk: Mapping[str, Any]) -> bool:
    message = chunk.get("message") or {}
    content = (message.get(part) for part in ("content", "thinking", "tool_calls"))
    return not chunk.get("done") and any(content)
