"""Send test traffic and check that the counters grow by exactly that much.

They must do so in the proxy and in Prometheus. Exact counts need a proxy without other clients; a
check that finds more than was sent says so.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from monitoring.names import JOB, SCRAPE_TIMEOUT_SECONDS
from ops.clients import web
from ops.clients.exposition import Exposition, scrape
from ops.clients.prometheus import Prometheus, PrometheusError
from ops.clients.proxy import ProxyApi
from ops.processes.polling import Poller
from ops.report import Check, failed, judged, passed
from ops.verify.scraping import SECTION, scrape_interval
from ops.verify.traffic import Reported, TrafficError, send_traffic

# The proxy updates its metrics a few ms after a response's last byte; later is a fault.
METRICS_TIMEOUT_SECONDS = 5.0

# How long the last scrape may take until its counts show; added to two scrape intervals.
LAST_SCRAPE_SECONDS = SCRAPE_TIMEOUT_SECONDS + 2.0
OTHER_TRAFFIC_HINT = "other clients may be using the proxy; try again while they don't"

SEE_SCRAPING = f"see {SECTION} above"
LOST_HINT = f"counts are missing: read the proxy's log, and {SEE_SCRAPING}"


@dataclass(frozen=True)
class SeriesSum:
    """The sum of some series, which can be read in the proxy and in Prometheus."""

    sample: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Render as a PromQL selector."""
        inside = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.sample}{{{inside}}}" if inside else self.sample

    def of(self, exposition: Exposition) -> float:
        """Return the value in the proxy's exposition."""
        return exposition.total(self.sample, dict(self.labels))

    @property
    def promql(self) -> str:
        """Query that returns the same value in Prometheus."""
        labels = (("job", JOB), *self.labels)
        return f"sum({self.sample}{{{','.join(f'{n}={json.dumps(v)}' for n, v in labels)}}})"


ACTIVE = SeriesSum("mistral_active_requests")


def expected_growth(reported: Reported) -> dict[SeriesSum, float]:
    """Return by how much the traffic increases each sum."""
    return {
        _requests("chat", "success"): 2,
        _requests("generate", "success"): 1,
        _requests("chat", "client_error"): 1,
        SeriesSum("mistral_http_requests_total"): 4,
        _durations("chat"): 3,
        _durations("generate"): 1,
        SeriesSum("mistral_generate_duration_seconds_count"): 3,
        SeriesSum("mistral_generate_tokens_total"): reported.tokens,
        SeriesSum("mistral_streaming_chunks_total", (("endpoint", "chat"),)): reported.chunks,
    }


def _requests(endpoint: str, status: str) -> SeriesSum:
    return SeriesSum("mistral_http_requests_total", (("endpoint", endpoint), ("status", status)))


def _durations(endpoint: str) -> SeriesSum:
    return SeriesSum("mistral_http_request_duration_seconds_count", (("endpoint", endpoint),))


SUMS = tuple(expected_growth(Reported(tokens=0, chunks=0)))


@dataclass(frozen=True)
class TrafficTest:
    """The traffic, and the checks before, during and after it.

    Attributes:
        proxy: The proxy.
        prometheus: Must get the same counts; None checks only the proxy.
        model: Model of the traffic; None for the first that the proxy lists.
        timeout: Timeout of one generation in seconds.
        poller: Waits for counts.
    """

    proxy: ProxyApi
    prometheus: Prometheus | None
    model: str | None
    timeout: float
    poller: Poller

    def checks(self) -> Iterator[Check]:
        """Send the traffic and check its effects."""
        try:
            model = self.model or self._first_model()
            counts = _PrometheusCounts(self.prometheus, self.poller) if self.prometheus else None
            if counts:
                counts.await_scrape(self.proxy)
            before = scrape(self.proxy)
            during: list[float] = []
            reported = send_traffic(
                self.proxy,
                model,
                timeout=self.timeout,
                while_in_flight=lambda: during.append(self._active_above(ACTIVE.of(before))),
            )
        except (TrafficError, web.UnreachableError, ValueError) as error:
            yield failed("test traffic", str(error), "read the logs of the proxy and the engine")
            return
        growth = expected_growth(reported)
        yield passed(
            "test traffic",
            f"chat, generation and streamed chat with {model}, chat with an unknown model: "
            f"{reported.tokens} tokens, {reported.chunks} chunks",
        )
        yield _in_flight_check(ACTIVE.of(before), during[0])
        yield from self._proxy_checks(before, growth)
        yield self._finished_check(ACTIVE.of(before))
        if counts:
            yield from counts.checks(growth)

    def _first_model(self) -> str:
        try:
            model = self.proxy.first_model()
        except LookupError:
            model = None
        if model is None:
            raise TrafficError("the proxy lists no model at /api/tags")
        return model

    def _active_above(self, before: float) -> float:
        return self._active_until(lambda active: active > before)

    def _active_until(self, good: Callable[[float], bool]) -> float:
        return self.poller.until(
            lambda: ACTIVE.of(scrape(self.proxy)), good, timeout=METRICS_TIMEOUT_SECONDS
        )

    def _proxy_checks(
        self, before: Exposition, growth: Mapping[SeriesSum, float]
    ) -> Iterator[Check]:
        def grown() -> dict[SeriesSum, float]:
            now = scrape(self.proxy)
            return {series: series.of(now) - series.of(before) for series in growth}

        seen = self.poller.until(
            grown, lambda found: found == growth, timeout=METRICS_TIMEOUT_SECONDS
        )
        for series, expected in growth.items():
            yield _growth_check("proxy", series, expected, seen[series])

    def _finished_check(self, before: float) -> Check:
        active = self._active_until(lambda value: value <= before)
        return judged(
            "no request is active afterwards",
            f"{active:g}",
            ok=active <= before,
            hint=OTHER_TRAFFIC_HINT,
        )


class _PrometheusCounts:
    """The sums in Prometheus, before and after the traffic."""

    def __init__(self, prometheus: Prometheus, poller: Poller) -> None:
        self._prometheus = prometheus
        self._poller = poller
        self._before: Mapping[SeriesSum, float] = {}
        self._problem = ""

    def await_scrape(self, proxy: ProxyApi) -> None:
        """Wait until Prometheus has the proxy's counts, so that all later growth is ours."""
        try:
            self._before, _ = self._poller.until(
                lambda: (self._read(), scrape(proxy)),
                lambda read: all(read[0][series] == series.of(read[1]) for series in SUMS),
                timeout=self._timeout(),
            )
        except PrometheusError as error:
            self._problem = str(error)

    def checks(self, growth: Mapping[SeriesSum, float]) -> Iterator[Check]:
        """Check that every count has arrived."""
        seen = self._grown_as(growth)
        if seen is None:
            yield failed("Prometheus has the counts", self._problem, SEE_SCRAPING)
            return
        for series, expected in growth.items():
            yield _growth_check("Prometheus", series, expected, seen[series])

    def _grown_as(self, growth: Mapping[SeriesSum, float]) -> Mapping[SeriesSum, float] | None:
        """Wait for the growth. Return None if Prometheus could not be read, now or before."""
        if self._problem:
            return None
        try:
            return self._poller.until(
                self._grown, lambda found: found == growth, timeout=self._timeout()
            )
        except PrometheusError as error:
            self._problem = str(error)
            return None

    def _grown(self) -> dict[SeriesSum, float]:
        now = self._read()
        return {series: now[series] - self._before[series] for series in SUMS}

    def _read(self) -> dict[SeriesSum, float]:
        return {series: self._prometheus.scalar(series.promql) or 0.0 for series in SUMS}

    def _timeout(self) -> float:
        return 2 * scrape_interval(self._prometheus) + LAST_SCRAPE_SECONDS


def _in_flight_check(before: float, during: float) -> Check:
    return judged(
        "a request in flight is counted as active",
        f"{ACTIVE}: {before:g} before, {during:g} during",
        ok=during > before,
        hint="the gauge must count a request as soon as its head was read",
    )


def _growth_check(where: str, series: SeriesSum, expected: float, seen: float) -> Check:
    hint = OTHER_TRAFFIC_HINT if seen > expected else LOST_HINT
    evidence = f"+{seen:g}" if seen == expected else f"+{seen:g} instead of +{expected:g}"
    return judged(f"{where}: {series}", evidence, ok=seen == expected, hint=hint)
