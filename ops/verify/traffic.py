"""(4) The known traffic: chat, generate, a streamed chat, and an unknown model."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.services.proxy_api import ProxyApi

OPTIONS = {"temperature": 0, "num_predict": 16}
UNKNOWN_MODEL = "no-such-model-verify"
QUESTION = "Say hello."


class TrafficError(Exception):
    """A request of the test traffic went wrong; the message says which and how."""


@dataclass(frozen=True)
class Sent:
    """What the replies of the traffic reported, and so what the counters must have gained.

    Attributes:
        tokens: Sum of every reply's ``eval_count``.
        chunks: Streamed objects that carried content.
    """

    tokens: int
    chunks: int


def first_model(proxy: ProxyApi) -> str:
    """Return the first model that the proxy lists. Raises TrafficError when it lists none."""
    models = proxy.get("/api/tags").json().get("models", [])
    if not models:
        raise TrafficError("the proxy lists no model at /api/tags")
    return str(models[0]["name"])


def send_traffic(
    proxy: ProxyApi, model: str, *, timeout: float, in_flight: Callable[[], None]
) -> Sent:
    """Send two chats, one of them streamed, a generation, and a chat with an unknown model.

    Args:
        proxy: The proxy.
        model: Model for all but the last.
        timeout: Seconds that one generation may take.
        in_flight: Called while the streamed request is surely in flight.

    Raises:
        TrafficError: One of them was not answered as Ollama would.
        UnreachableError: One of them was not answered at all.
    """
    chat = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "options": OPTIONS,
    }
    generate = {"model": model, "prompt": QUESTION, "options": OPTIONS}
    tokens = 0
    for path, body in (("/api/chat", chat), ("/api/generate", generate)):
        reply = proxy.post(path, {**body, "stream": False}, timeout=timeout)
        tokens += _eval_count(path, reply.status, reply.text)
    lines = _stream(proxy, chat, timeout, in_flight)
    refused = proxy.post("/api/chat", {**chat, "model": UNKNOWN_MODEL}, timeout=timeout)
    if refused.status != http.client.NOT_FOUND:
        raise TrafficError(f"an unknown model gave {refused.status} instead of 404")
    return Sent(
        tokens=tokens + _eval_count("/api/chat (streamed)", http.client.OK, lines[-1]),
        chunks=sum(_carries_content(json.loads(line)) for line in lines),
    )


def _stream(
    proxy: ProxyApi, body: Mapping[str, Any], timeout: float, in_flight: Callable[[], None]
) -> list[str]:
    """Send a request's head and body apart, so that in between it can't have ended."""
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
        in_flight()
        connection.send(data)
        reply = connection.getresponse()
        text = reply.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise TrafficError(f"the streamed chat broke: {error}") from error
    finally:
        connection.close()
    if reply.status != http.client.OK or not text.strip():
        raise TrafficError(f"the streamed chat gave {reply.status}: {text[:200]}")
    return text.strip().split("\n")  # not splitlines: JSON may hold other line separators


def _eval_count(path: str, status: int, line: str) -> int:
    try:
        final = json.loads(line)
        if status == http.client.OK and final["done"]:
            return int(final["eval_count"])
    except (ValueError, KeyError, TypeError):
        pass
    raise TrafficError(f"{path} gave {status}: {line[:200]}")


def _carries_content(chunk: Mapping[str, Any]) -> bool:
    message = chunk.get("message") or {}
    carried = (message.get(part) for part in ("content", "thinking", "tool_calls"))
    return not chunk.get("done") and any(carried)
