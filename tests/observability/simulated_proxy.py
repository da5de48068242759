"""Plays requests through a proxy's metrics, and writes what Prometheus would scrape.

It is a calculation: no clock, no sockets. Names, labels and buckets are those of the real proxy.
Each count is made when the real proxy makes it: a stream's wait with its first content, its tokens
while it runs, its duration at its end.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from proxy_service.telemetry.metrics import (
    FIRST_TOKEN_BUCKETS,
    GENERATE_BUCKETS,
    HTTP_BUCKETS,
    STATUSES,
    Endpoint,
    Status,
)
from tests.observability.promtool import INSTANCE, metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

REQUESTS: Final = "mistral_http_requests_total"
WAIT: Final = "mistral_request_wait_seconds"
FIRST_TOKEN: Final = "mistral_time_to_first_token_seconds"
GENERATE: Final = "mistral_generate_duration_seconds"
DECODE_TOKENS: Final = "mistral_decode_tokens_total"
DECODE_SECONDS: Final = "mistral_decode_seconds_total"

_BUCKETS: Final = {
    WAIT: HTTP_BUCKETS,
    FIRST_TOKEN: FIRST_TOKEN_BUCKETS,
    GENERATE: GENERATE_BUCKETS,
}
_COUNTS: Final = {f"{histogram}_count" for histogram in _BUCKETS}

# A series of one proxy: its name, and the labels of its own.
_Key = tuple[str, tuple[tuple[str, str], ...]]

_ACTIVE: Final[_Key] = ("mistral_active_requests", ())


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request; all times in seconds.

    Attributes:
        start: When its head arrives.
        wait: From there to its first content, or to the end of a response without content.
        decode: From there to the end of a generation.
        tokens: Output tokens after the first.
        model: Model of a generation; empty for other requests.
        streamed: Whether a generation is streamed.
    """

    start: float
    wait: float
    decode: float = 0
    tokens: float = 0
    endpoint: Endpoint = "chat"
    model: str = ""
    streamed: bool = True
    status: Status = "success"

    @property
    def first_content(self) -> float:
        """When the first content is written."""
        return self.start + self.wait

    @property
    def end(self) -> float:
        """When the last byte is written."""
        return self.first_content + self.decode


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Clients that send one request after the other, all of the same kind.

    Attributes:
        count: How many. They start at even intervals within one round.
        start: When the first one starts, in seconds.
        stop: When they stop sending, in seconds.
        wait: Seconds until the first content, or until the response of other requests.
        tokens: Output tokens of each answer; 0 for requests that generate none.
        tokens_per_second: How fast the tokens come.
        pause: Seconds between a response and the client's next request.
        fails_every: Every n-th request of all fails after its wait; 0 for none.
        failure: Its status.
    """

    count: int = 1
    start: float = 0
    stop: float = math.inf
    wait: float
    tokens: int = 0
    tokens_per_second: float = 40
    pause: float = 1
    endpoint: Endpoint = "chat"
    model: str = "small"
    streamed: bool = True
    fails_every: int = 0
    failure: Status = "error"

    def requests(self, until: float) -> Iterator[Request]:
        """Return the requests that start before ``until``."""
        decode = max(self.tokens - 1, 0) / self.tokens_per_second
        round_seconds = self.wait + decode + self.pause
        every = round_seconds / self.count
        for number in range(math.ceil((min(self.stop, until) - self.start) / every)):
            fails = self.fails_every > 0 and number % self.fails_every == self.fails_every - 1
            generates = self.tokens > 0 and not fails
            yield Request(
                start=self.start + number * every,
                wait=self.wait,
                decode=decode if generates else 0,
                tokens=max(self.tokens - 1, 0) if generates else 0,
                endpoint=self.endpoint,
                model=self.model if generates else "",
                streamed=self.streamed,
                status=self.failure if fails else "success",
            )


@dataclass(frozen=True, kw_only=True)
class SimulatedProxy:
    """A proxy with its engine; all times in seconds since the first scrape.

    Attributes:
        clients: Its traffic.
        instance: Its address.
        runs: From when to when its process runs, in order. It counts from 0 in each run.
        engine_down: From when to when the engine doesn't answer. Requests then fail at once.
        is_target: From when to when Prometheus knows of it.
    """

    clients: Sequence[Clients] = ()
    instance: str = INSTANCE
    runs: Sequence[tuple[float, float]] = ((-86_400, math.inf),)
    engine_down: Sequence[tuple[float, float]] = ()
    is_target: tuple[float, float] = (0, math.inf)

    def series(self, *, seconds: int, interval: int) -> dict[str, str]:
        """Return its series in promtool's notation, one value per scrape.

        Args:
            seconds: How long it is scraped.
            interval: Time between two scrapes.
        """
        times = range(0, seconds + 1, interval)
        scraped = [_within(t, [self.is_target]) and _within(t, self.runs) for t in times]
        recorder = _Recorder(times)
        for run in self.runs:
            recorder.play(run, self._requests(run, seconds))
        values = {
            **recorder.values(),
            _key("mistral_upstream_up"): [float(not _within(t, self.engine_down)) for t in times],
            _key("mistral_start_time_seconds"): [self._started(t) for t in times],
        }
        written = {
            metric(name, instance=self.instance, **dict(labels)): _written(series, scraped)
            for (name, labels), series in values.items()
        }
        is_known = [_within(t, [self.is_target]) for t in times]
        up = [float(_within(t, self.runs)) for t in times]
        return {**written, metric("up", instance=self.instance): _written(up, is_known)}

    def _started(self, at: float) -> float:
        return max((start for start, _ in self.runs if start <= at), default=math.nan)

    def _requests(self, run: tuple[float, float], seconds: float) -> Iterator[Request]:
        begins, ends = run
        for clients in self.clients:
            for request in clients.requests(min(ends, seconds)):
                if request.start < begins:
                    continue
                if _within(request.start, self.engine_down):
                    yield Request(
                        start=request.start, wait=0.01, endpoint=request.endpoint, status="error"
                    )
                else:
                    yield request


class _Recorder:
    """What each series of one proxy grows by until each scrape."""

    def __init__(self, times: range) -> None:
        self._times = times
        self._growth: dict[_Key, list[float]] = defaultdict(lambda: [0.0] * len(times))
        self._resets = {0, len(times)}
        self._endpoints: set[Endpoint] = set()
        self._ends = math.inf

    def play(self, run: tuple[float, float], requests: Iterable[Request]) -> None:
        """Count the requests of a run. Those that its end cuts off are lost."""
        begins, self._ends = run
        self._resets.add(self._scrape_after(begins))
        self._create("chat")
        for request in requests:
            self._count(request)

    def values(self) -> dict[_Key, list[float]]:
        """Return each series' value at each scrape."""
        return {
            key: [
                value
                for first, last in pairwise(sorted(self._resets))
                for value in accumulate(growth[first:last])
            ]
            for key, growth in (self._growth | self._cumulative_buckets()).items()
        }

    def _cumulative_buckets(self) -> dict[_Key, list[float]]:
        """Return the growth of every bucket, which counts all smaller observations too."""
        grown: dict[_Key, list[float]] = {}
        counts = [(key, growth) for key, growth in self._growth.items() if key[0] in _COUNTS]
        for (name, labels), growth in counts:
            histogram = name.removesuffix("_count")
            smaller = [0.0] * len(growth)
            for bound in _BUCKETS[histogram]:
                bucket = (f"{histogram}_bucket", (*labels, ("le", f"{float(bound)}")))
                if here := self._growth.get(bucket):
                    smaller = [below + own for below, own in zip(smaller, here, strict=True)]
                grown[bucket] = smaller
            grown[f"{histogram}_bucket", (*labels, ("le", "+Inf"))] = growth
        return grown

    def _count(self, request: Request) -> None:
        endpoint, model = request.endpoint, request.model
        self._create(endpoint)
        self._add(_key(REQUESTS, endpoint=endpoint, status=request.status), request.end, 1)
        self._add(_ACTIVE, request.start, 1)
        self._add(_ACTIVE, request.end, -1)
        begins = request.first_content if request.streamed else request.end
        self._observe(WAIT, begins, request.wait, endpoint=endpoint)
        if model:
            self._observe(GENERATE, request.end, request.end - request.start, model=model)
            if request.streamed:
                self._observe(FIRST_TOKEN, begins, request.wait, model=model)
            self._spread(_key(DECODE_TOKENS, model=model), begins, request.end, request.tokens)
            self._spread(_key(DECODE_SECONDS, model=model), begins, request.end, request.decode)

    def _create(self, endpoint: Endpoint) -> None:
        """Begin an endpoint's counters at 0 for every status, as the proxy does."""
        if endpoint not in self._endpoints:
            self._endpoints.add(endpoint)
            for status in STATUSES:
                self._growth[_key(REQUESTS, endpoint=endpoint, status=status)]

    def _observe(self, histogram: str, at: float, value: float, **labels: str) -> None:
        bounds = _BUCKETS[histogram]
        number = bisect_left(bounds, value)
        if number < len(bounds):
            le = f"{float(bounds[number])}"
            self._add(_key(f"{histogram}_bucket", **labels, le=le), at, 1)
        self._add(_key(f"{histogram}_count", **labels), at, 1)

    def _spread(self, key: _Key, start: float, end: float, amount: float) -> None:
        """Add an amount that grows evenly between two times."""
        step = self._times.step
        at = start
        while at < end:
            upto = min(end, (math.floor(at / step) + 1) * step)
            self._add(key, upto, amount * (upto - at) / (end - start))
            at = upto
        if start == end:
            self._add(key, end, amount)

    def _add(self, key: _Key, at: float, amount: float) -> None:
        growth = self._growth[key]
        scrape = self._scrape_after(at)
        if at < self._ends and scrape < len(growth):
            growth[scrape] += amount

    def _scrape_after(self, at: float) -> int:
        return max(0, math.ceil(min(at, self._times.stop) / self._times.step))


def _key(name: str, **labels: str) -> _Key:
    return name, tuple(labels.items())


def _within(at: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(start <= at < end for start, end in spans)


def _written(values: Sequence[float], scraped: Sequence[bool]) -> str:
    """Write values; a scrape that fails after a good one ends the series, as in Prometheus."""
    before = False
    texts = []
    for value, good in zip(values, scraped, strict=True):
        texts.append(f"{value:.10g}" if good else "stale" if before else "_")
        before = good
    return " ".join(texts)
