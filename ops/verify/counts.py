"""(4) Send known traffic and see the counters move by exactly that, in the proxy and Prometheus.

Exact numbers need a proxy that nobody else uses meanwhile; a check that sees more than was sent
says so.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from monitoring.names import JOB
from ops.report import Check, failed, judged, passed
from ops.services import web
from ops.services.prometheus_api import Prometheus, PrometheusError
from ops.services.proxy_api import ProxyApi
from ops.system.polling import Poller
from ops.verify.exposition import Exposition, scrape
from ops.verify.scraping import scrape_interval
from ops.verify.traffic import Sent, TrafficError, first_model, send_traffic

SETTLE_SECONDS = 5.0
"""Metrics follow a few ms after the reply's last byte; more is a fault."""
SCRAPE_SLACK_SECONDS = 12.0
"""On top of two intervals: a scrape may take its time-out of 10 s."""
QUIET_HINT = "other clients may be using the proxy; exact counts need a quiet one, so try again"


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


ACTIVE = Reading("mistral_active_requests")


def expected_growth(sent: Sent) -> dict[Reading, float]:
    """Return by how much each reading must have grown after the traffic."""
    return {
        _requests("chat", "success"): 2,
        _requests("generate", "success"): 1,
        _requests("chat", "client_error"): 1,
        Reading("mistral_http_requests_total"): 4,
        _durations("chat"): 3,
        _durations("generate"): 1,
        Reading("mistral_generate_duration_seconds_count"): 3,
        Reading("mistral_generate_tokens_total"): sent.tokens,
        Reading("mistral_streaming_chunks_total", (("endpoint", "chat"),)): sent.chunks,
    }


def _requests(endpoint: str, status: str) -> Reading:
    return Reading("mistral_http_requests_total", (("endpoint", endpoint), ("status", status)))


def _durations(endpoint: str) -> Reading:
    return Reading("mistral_http_request_duration_seconds_count", (("endpoint", endpoint),))


READINGS = tuple(expected_growth(Sent(tokens=0, chunks=0)))


@dataclass(frozen=True)
class TrafficTest:
    """The traffic and what is looked at around it.

    Attributes:
        proxy: The proxy.
        prometheus: Where the same counts must arrive; None checks the proxy alone.
        model: Name to ask for; None takes the first that the proxy lists.
        timeout: Seconds that one generation may take.
        poller: How long to wait for counts.
    """

    proxy: ProxyApi
    prometheus: Prometheus | None
    model: str | None
    timeout: float
    poller: Poller

    def checks(self) -> Iterator[Check]:
        """Send the traffic and check what it left."""
        try:
            model = self.model or first_model(self.proxy)
            there = _PrometheusCounts(self.prometheus, self.poller) if self.prometheus else None
            if there:
                there.catch_up_with(self.proxy)
            before = scrape(self.proxy)
            meanwhile: list[float] = []
            sent = send_traffic(
                self.proxy,
                model,
                timeout=self.timeout,
                in_flight=lambda: meanwhile.append(self._active_above(ACTIVE.of(before))),
            )
        except (TrafficError, web.UnreachableError, ValueError) as error:
            yield failed("test traffic", str(error), "read the proxy's and the engine's log")
            return
        growth = expected_growth(sent)
        yield passed(
            "test traffic",
            f"chat, generate, streamed chat and an unknown model on {model}: "
            f"{sent.tokens} tokens, {sent.chunks} chunks",
        )
        yield _in_flight_check(ACTIVE.of(before), meanwhile[0])
        yield from self._proxy_checks(before, growth)
        yield self._idle_again_check(ACTIVE.of(before))
        if there:
            yield from there.checks(growth)

    def _active_above(self, before: float) -> float:
        return self._active_until(lambda active: active > before)

    def _active_until(self, good: Callable[[float], bool]) -> float:
        return self.poller.until(
            lambda: ACTIVE.of(scrape(self.proxy)), good, timeout=SETTLE_SECONDS
        )

    def _proxy_checks(self, before: Exposition, growth: Mapping[Reading, float]) -> Iterator[Check]:
        def grown() -> dict[Reading, float]:
            now = scrape(self.proxy)
            return {reading: reading.of(now) - reading.of(before) for reading in growth}

        seen = self.poller.until(grown, lambda found: found == growth, timeout=SETTLE_SECONDS)
        for reading, expected in growth.items():
            yield _growth_check("proxy", reading, expected, seen[reading])

    def _idle_again_check(self, before: float) -> Check:
        active = self._active_until(lambda value: value <= before)
        return judged(
            "no request is active any more", f"{active:g}", ok=active <= before, hint=QUIET_HINT
        )


class _PrometheusCounts:
    """The readings in Prometheus, before and after the traffic."""

    def __init__(self, prometheus: Prometheus, poller: Poller) -> None:
        self._prometheus = prometheus
        self._poller = poller
        self._before: Mapping[Reading, float] = {}
        self._problem = ""

    def catch_up_with(self, proxy: ProxyApi) -> None:
        """Wait until Prometheus has what the proxy has, so that what comes next is ours."""
        try:
            self._before, _ = self._poller.until(
                lambda: (self._read(), scrape(proxy)),
                lambda found: all(found[0][it] == it.of(found[1]) for it in READINGS),
                timeout=self._deadline(),
            )
        except PrometheusError as error:
            self._problem = str(error)

    def checks(self, growth: Mapping[Reading, float]) -> Iterator[Check]:
        """Check that every count arrived."""
        seen = self._grown_as(growth)
        if seen is None:
            yield failed("Prometheus has the counts", self._problem, "see (3) above")
            return
        for reading, expected in growth.items():
            yield _growth_check("Prometheus", reading, expected, seen[reading])

    def _grown_as(self, growth: Mapping[Reading, float]) -> Mapping[Reading, float] | None:
        """Wait for the growth; None when Prometheus could not be asked, now or before."""
        if self._problem:
            return None
        try:
            return self._poller.until(
                self._grown, lambda found: found == growth, timeout=self._deadline()
            )
        except PrometheusError as error:
            self._problem = str(error)
            return None

    def _grown(self) -> dict[Reading, float]:
        now = self._read()
        return {reading: now[reading] - self._before[reading] for reading in READINGS}

    def _read(self) -> dict[Reading, float]:
        return {it: self._prometheus.scalar(it.promql) or 0.0 for it in READINGS}

    def _deadline(self) -> float:
        return 2 * scrape_interval(self._prometheus) + SCRAPE_SLACK_SECONDS


def _in_flight_check(before: float, meanwhile: float) -> Check:
    return judged(
        "a request in flight is counted as active",
        f"{ACTIVE}: {before:g} before, {meanwhile:g} meanwhile",
        ok=meanwhile > before,
        hint="the gauge must count from the request's head on",
    )


def _growth_check(where: str, reading: Reading, expected: float, seen: float) -> Check:
    hint = QUIET_HINT if seen > expected else "counts are lost: read the log, and see (3) above"
    evidence = f"+{seen:g}" if seen == expected else f"+{seen:g} instead of +{expected:g}"
    return judged(f"{where}: {reading}", evidence, ok=seen == expected, hint=hint)
