"""(4) Send known traffic and see the counters move by exactly that, in the proxy and Prometheus.

Exact numbers need a proxy that nobody else uses meanwhile; a check that sees more than was sent
says so. The streaming request sends its body late, so that it is surely in flight while looked at.
"""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboards.signals import JOB
from ops import web
from ops.verify.exposition import Exposition, scrape
from ops.verify.polling import until
from ops.verify.prometheus_api import Prometheus, PrometheusError
from ops.verify.report import Check, failed, judged, passed
from ops.verify.scraping import scrape_interval

SETTLE_SECONDS = 5.0
"""Metrics follow a few ms after the reply's last byte; more is a fault."""
SCRAPE_SLACK_SECONDS = 12.0
"""A scrape may take its time-out of 10 s."""
OPTIONS = {"temperature": 0, "num_predict": 16}
UNKNOWN_MODEL = "no-such-model-verify"
QUIET_HINT = "other clients may be using the proxy; exact counts need a quiet one, so try again"


class TrafficError(Exception):
    """A request of the test traffic went wrong; the message says which and how."""


@dataclass(frozen=True)
class Reading:
    """A number that is read in the proxy and in Prometheus alike: the sum over some series."""

    sample: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Render as the selector that people know."""
        inside = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.sample}{{{inside}}}" if inside else self.sample

    def of(self, exposition: Exposition) -> float:
        """Value in the proxy's own exposition."""
        return exposition.total(self.sample, dict(self.labels))

    @property
    def promql(self) -> str:
        """Query for the same value in Prometheus."""
        labels = (("job", JOB), *self.labels)
        return f"sum({self.sample}{{{','.join(f'{n}={json.dumps(v)}' for n, v in labels)}}})"


@dataclass
class Sent:
    """What the traffic must have left in the counters."""

    tokens: int = 0
    chunks: int = 0
    in_flight: float = 0

    def deltas(self) -> dict[Reading, float]:
        """Return by how much each reading must have grown."""
        return {
            _requests("chat", "success"): 2,
            _requests("generate", "success"): 1,
            _requests("chat", "client_error"): 1,
            Reading("mistral_http_requests_total"): 4,
            _durations("chat"): 3,
            _durations("generate"): 1,
            Reading("mistral_generate_duration_seconds_count"): 3,
            Reading("mistral_generate_tokens_total"): self.tokens,
            Reading("mistral_streaming_chunks_total", (("endpoint", "chat"),)): self.chunks,
        }


def _requests(endpoint: str, status: str) -> Reading:
    return Reading("mistral_http_requests_total", (("endpoint", endpoint), ("status", status)))


def _durations(endpoint: str) -> Reading:
    return Reading("mistral_http_request_duration_seconds_count", (("endpoint", endpoint),))


ACTIVE = Reading("mistral_active_requests")


def traffic_checks(
    proxy: str, prometheus: Prometheus | None, *, model: str | None, timeout: float
) -> Iterator[Check]:
    """Send the traffic and check what it left.

    Args:
        proxy: Base URL of the proxy.
        prometheus: Where the same counts must arrive; None checks the proxy alone.
        model: Name to ask for; None takes the first that the proxy lists.
        timeout: Seconds that one generation may take.
    """
    readings = list(Sent().deltas())
    try:
        asked = model or _first_model(proxy)
        before_there = _settled_in_prometheus(proxy, prometheus, readings) if prometheus else {}
        before = scrape(proxy)
        sent = _send_all(proxy, asked, timeout)
    except (TrafficError, PrometheusError, web.UnreachableError, ValueError) as error:
        yield failed("test traffic", str(error), "read the proxy's and the engine's log")
        return
    yield passed(
        "test traffic",
        f"chat, generate, streamed chat and an unknown model on {asked}: "
        f"{sent.tokens} tokens, {sent.chunks} chunks",
    )
    yield _in_flight_check(before, sent)
    yield from _proxy_checks(proxy, before, sent.deltas())
    yield _idle_again_check(proxy, before)
    if prometheus:
        yield from _prometheus_checks(prometheus, before_there, sent.deltas())


def _first_model(proxy: str) -> str:
    models = web.get(f"{proxy}/api/tags").json().get("models", [])
    if not models:
        raise TrafficError("the proxy lists no model at /api/tags")
    return str(models[0]["name"])


def _send_all(proxy: str, model: str, timeout: float) -> Sent:
    sent = Sent()
    messages = [{"role": "user", "content": "Say hello."}]
    chat = {"model": model, "messages": messages, "options": OPTIONS}
    generate = {"model": model, "prompt": "Say hello.", "options": OPTIONS}
    for path, body in (("/api/chat", chat), ("/api/generate", generate)):
        reply = web.post(f"{proxy}{path}", {**body, "stream": False}, timeout=timeout)
        sent.tokens += _eval_count(path, reply.status, reply.text)
    _stream(proxy, chat, sent, timeout)
    refused = web.post(f"{proxy}/api/chat", {**chat, "model": UNKNOWN_MODEL}, timeout=timeout)
    if refused.status != http.client.NOT_FOUND:
        raise TrafficError(f"an unknown model gave {refused.status} instead of 404")
    return sent


def _eval_count(path: str, status: int, line: str) -> int:
    try:
        final = json.loads(line)
        if status == http.client.OK and final["done"]:
            return int(final["eval_count"])
    except (ValueError, KeyError, TypeError):
        pass
    raise TrafficError(f"{path} gave {status}: {line[:200]}")


def _stream(proxy: str, body: Mapping[str, Any], sent: Sent, timeout: float) -> None:
    """Send a streaming chat in two steps, looking at the active requests in between."""
    parts = urlsplit(proxy)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        data = json.dumps({**body, "stream": True}).encode()
        connection.putrequest("POST", f"{parts.path}/api/chat")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        sent.in_flight = until(
            lambda: ACTIVE.of(scrape(proxy)), lambda active: active >= 1, seconds=SETTLE_SECONDS
        )
        connection.send(data)
        reply = connection.getresponse()
        lines = reply.read().decode().splitlines()
    except (OSError, http.client.HTTPException) as error:
        raise TrafficError(f"the streamed chat broke: {error}") from error
    finally:
        connection.close()
    sent.tokens += _eval_count("/api/chat (streamed)", reply.status, lines[-1] if lines else "")
    sent.chunks = sum(_carries_content(json.loads(line)) for line in lines)


def _carries_content(chunk: Mapping[str, Any]) -> bool:
    message = chunk.get("message") or {}
    carried = (message.get(part) for part in ("content", "thinking", "tool_calls"))
    return not chunk.get("done") and any(carried)


def _in_flight_check(before: Exposition, sent: Sent) -> Check:
    return judged(
        "a request in flight is counted as active",
        f"{ACTIVE.sample}: {ACTIVE.of(before):g} before, {sent.in_flight:g} meanwhile",
        ok=sent.in_flight > ACTIVE.of(before),
        hint="the gauge must count from the request's head on",
    )


def _idle_again_check(proxy: str, before: Exposition) -> Check:
    active = until(
        lambda: ACTIVE.of(scrape(proxy)),
        lambda value: value <= ACTIVE.of(before),
        seconds=SETTLE_SECONDS,
    )
    ok = active <= ACTIVE.of(before)
    return judged("no request is active any more", f"{active:g}", ok=ok, hint=QUIET_HINT)


def _proxy_checks(
    proxy: str, before: Exposition, deltas: Mapping[Reading, float]
) -> Iterator[Check]:
    def grown() -> dict[Reading, float]:
        now = scrape(proxy)
        return {reading: reading.of(now) - reading.of(before) for reading in deltas}

    seen = until(grown, lambda found: found == deltas, seconds=SETTLE_SECONDS)
    for reading, expected in deltas.items():
        yield _delta_check("proxy", reading, expected, seen[reading])


def _delta_check(where: str, reading: Reading, expected: float, seen: float) -> Check:
    hint = QUIET_HINT if seen > expected else "the count is lost: read the proxy's log"
    evidence = f"+{seen:g}" if seen == expected else f"+{seen:g} instead of +{expected:g}"
    return judged(f"{where}: {reading}", evidence, ok=seen == expected, hint=hint)


def _settled_in_prometheus(
    proxy: str, prometheus: Prometheus, readings: list[Reading]
) -> dict[Reading, float]:
    """Wait until Prometheus has what the proxy has, so that what comes next is ours."""
    there = until(
        lambda: (_read_all(prometheus, readings), scrape(proxy)),
        lambda found: all(found[0][reading] == reading.of(found[1]) for reading in readings),
        seconds=_scrape_deadline(prometheus),
    )
    return there[0]


def _prometheus_checks(
    prometheus: Prometheus, before: Mapping[Reading, float], deltas: Mapping[Reading, float]
) -> Iterator[Check]:
    def grown() -> dict[Reading, float]:
        now = _read_all(prometheus, list(deltas))
        return {reading: now[reading] - before[reading] for reading in deltas}

    started = time.monotonic()
    try:
        seen = until(grown, lambda found: found == deltas, seconds=_scrape_deadline(prometheus))
    except PrometheusError as error:
        yield failed("Prometheus has the counts", str(error), "read Prometheus' log")
        return
    for reading, expected in deltas.items():
        yield _delta_check("Prometheus", reading, expected, seen[reading])
    yield passed("Prometheus follows", f"after {time.monotonic() - started:.0f} s")


def _read_all(prometheus: Prometheus, readings: list[Reading]) -> dict[Reading, float]:
    return {reading: prometheus.scalar(reading.promql) or 0.0 for reading in readings}


def _scrape_deadline(prometheus: Prometheus) -> float:
    return 2 * scrape_interval(prometheus) + SCRAPE_SLACK_SECONDS
