"""The alerts themselves, from the most to the least urgent.

One fault tells people once. Neither Prometheus nor Grafana's own Alertmanager is given
inhibition rules, so each expression says itself what silences it: every symptom is quiet while
the proxy is down, and high latency is quiet once very high latency has held long enough to fire.

Every expression returns nothing at zero traffic: ratios divide by ``x > 0``, quantiles of nothing
are NaN, which no comparison accepts, and a minimum count keeps one odd request from deciding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts import recordings as recorded
from alerts.model import Alert
from alerts.promql import PROXY, duration, increase, p95, quiet_while, require
from dashboards.signals import JOB

if TYPE_CHECKING:
    from alerts.thresholds import Thresholds

#: The proxy does not answer scrapes, or Prometheus has lost it altogether.
PROXY_DOWN: Final = f"up{{{PROXY}}} == 0 or absent(up{{{PROXY}}})"

_UNLESS_DOWN: Final = quiet_while(PROXY_DOWN)


def alerts(t: Thresholds) -> tuple[Alert, ...]:
    """Give every alert with its limits filled in."""
    return (
        down(t),
        very_high_latency(t),
        high_latency(t),
        high_error_rate(t),
        high_active_requests(t),
        slow_generation(t),
        no_requests(t),
    )


def down(t: Thresholds) -> Alert:
    """Nobody is served. ``absent`` also catches a target that left the configuration."""
    return Alert(
        name="MistralDown",
        severity="critical",
        value=f"up{{{PROXY}}}",
        comparison="==",
        threshold=0,
        guards=(f"or absent(up{{{PROXY}}})",),
        for_seconds=t.timing.down_for_seconds,
        summary="The Mistral.rs proxy is down.",
        description=(
            "Prometheus cannot scrape the proxy (job {job}), so clients most likely get no answer "
            "either. Look whether its container or process runs and read its last log lines; "
            "start it again, then find out why it went."
        ),
    )


def very_high_latency(t: Thresholds) -> Alert:
    """Requests take so long that people give up."""
    return Alert(
        name="MistralVeryHighLatency",
        severity="critical",
        value=recorded.latency_p95(t.timing).of(JOB),
        comparison=">",
        threshold=t.very_high_latency_seconds,
        guards=(_enough_requests(t, t.latency_min_requests), _UNLESS_DOWN),
        for_seconds=t.timing.page_for_seconds,
        summary="Requests take very long.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(limit {t.very_high_latency_seconds:g} s). Look at active requests and at the "
            "engine's load: shed or spread the load, or restart an engine that is stuck."
        ),
        value_format="humanizeDuration",
    )


def high_latency(t: Thresholds) -> Alert:
    """Requests are slow; the milder half of the latency pair.

    It is silent only where the other one has held for its whole waiting time: were a single
    moment enough, latency that swings around the upper limit would fire neither.
    """
    p95_series = recorded.latency_p95(t.timing).of(JOB)
    firing_very_high = (
        f"min_over_time({p95_series}[{duration(t.timing.page_for_seconds)}]) "
        f"> {t.very_high_latency_seconds:g}"
    )
    return Alert(
        name="MistralHighLatency",
        severity="warning",
        value=p95_series,
        comparison=">",
        threshold=t.high_latency_seconds,
        guards=(
            _enough_requests(t, t.latency_min_requests),
            quiet_while(firing_very_high),
            _UNLESS_DOWN,
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Requests take long.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(limit {t.high_latency_seconds:g} s). Compare latency by endpoint with time to "
            "first token and time per token: long answers are normal, waiting is not."
        ),
        value_format="humanizeDuration",
    )


def high_error_rate(t: Thresholds) -> Alert:
    """Too many requests fail through no fault of the client."""
    return Alert(
        name="MistralHighErrorRate",
        severity="warning",
        value=recorded.error_ratio(t.timing.window_seconds).of(JOB),
        comparison=">",
        threshold=t.high_error_ratio,
        guards=(_enough_requests(t, t.error_min_requests), _UNLESS_DOWN),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Too many requests fail.",
        description=(
            "{value} of the requests fail "
            f"(limit {t.high_error_ratio * 100:g} %), not counting what clients cancelled or asked "
            "wrongly. The panel of errors by type says whether the engine refuses, times out or "
            "breaks off; then read its log."
        ),
        value_format="humanizePercentage",
    )


def high_active_requests(t: Thresholds) -> Alert:
    """More work is accepted than gets done.

    The gauge vanishes with one lost scrape. A firing alert outlives that for exactly as long as
    ``MistralDown`` takes to fire, so the two are never told together.
    """
    return Alert(
        name="MistralHighActiveRequests",
        severity="warning",
        value=f"sum by (job) (mistral_active_requests{{{PROXY}}})",
        comparison=">",
        threshold=t.high_active_requests,
        guards=(_UNLESS_DOWN,),
        for_seconds=t.timing.ticket_for_seconds,
        keep_firing_for_seconds=t.timing.down_for_seconds,
        summary="Requests pile up.",
        description=(
            "{value} requests are in flight "
            f"(limit {t.high_active_requests}). If latency rises too, the engine is saturated: "
            "find the client that sends so much, or add capacity. If not, raise the limit."
        ),
    )


def slow_generation(t: Thresholds) -> Alert:
    """One model's answers take too long to complete."""
    histogram, window = "mistral_generate_duration_seconds", t.timing.window_seconds
    finished = increase(f"{histogram}_count", window, by="job, model")
    return Alert(
        name="MistralSlowGeneration",
        severity="warning",
        value=p95(histogram, window, by="job, model"),
        comparison=">",
        threshold=t.slow_generation_seconds,
        guards=(
            require(f"{finished} >= {t.slow_generation_min_requests}", on="job, model"),
            _UNLESS_DOWN,
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Answers take long to generate.",
        description=(
            "One answer in twenty of model {model} takes longer than {value} "
            f"(limit {t.slow_generation_seconds:g} s). Look at tokens per second and answer "
            "length: a slow engine needs less load or other hardware, long answers need a limit."
        ),
        value_format="humanizeDuration",
    )


def no_requests(t: Thresholds) -> Alert:
    """A proxy that is up, and has been for long enough, is asked for nothing."""
    seconds = t.no_requests_minutes * 60
    return Alert(
        name="MistralNoRequests",
        severity="info",
        value=increase(recorded.REQUESTS, seconds),
        comparison="==",
        threshold=0,
        guards=(
            require(f"min_over_time(up{{{PROXY}}}[{duration(seconds)}]) == 1"),
            require(f"time() - mistral_start_time_seconds{{{PROXY}}} > {seconds}"),
            _UNLESS_DOWN,
        ),
        for_seconds=t.timing.notice_for_seconds,
        summary="No requests arrive.",
        description=(
            f"The proxy is up, but nobody has asked it anything for {t.no_requests_minutes} "
            "minutes. At a quiet hour this is fine; otherwise check the clients' address, the "
            "network and whatever stands in front of the proxy."
        ),
    )


def _enough_requests(t: Thresholds, minimum: int) -> str:
    return require(f"{recorded.requests(t.timing).of(JOB)} >= {minimum}")
