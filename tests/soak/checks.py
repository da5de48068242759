"""Judge a soak test: whether every request is accounted for, and what the proxy still holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops.report import Check, judged
from tests.soak.explanation import Explanation
from tests.soak.reconciliation import (
    Counts,
    Reconciliation,
    Result,
    Status,
    by_status,
    differences,
)

# The rest begin so shortly before a fault that it hits them: faults are 17 s apart on average, and
# an answer takes a few seconds.
LEAST_ANSWERED = 0.6

# Tolerated growth: the allocator keeps some of the memory that the proxy has freed.
MEMORY_GROWTH_BYTES = 16 * 1024 * 1024
_MIB = 1024 * 1024
_SHOWN = 5
_LOG_HINT = "search the proxy's log for the request ids"


@dataclass(frozen=True)
class ResourceUsage:
    """What the proxy holds while it has no requests."""

    descriptors: int
    memory_bytes: int

    def __str__(self) -> str:
        """Render both for the report."""
        return f"{self.descriptors} descriptors, {self.memory_bytes / _MIB:.1f} MiB"


@dataclass(frozen=True)
class Measurements:
    """What is known at the end of the run.

    Attributes:
        results: The clients' results.
        reconciliation: The same compared with the proxy's log.
        explanation: The failures compared with the faults.
        in_metrics: Requests counted in ``/metrics``.
        in_prometheus: Requests counted in Prometheus.
        before: The proxy's resources before the run.
        after: The proxy's resources after the run.
        lowest_up: Lowest ``up`` of the proxy; None if Prometheus has no sample.
        unfinished: Sum of the gauges of active, running and queued requests.
    """

    results: Sequence[Result]
    reconciliation: Reconciliation
    explanation: Explanation
    in_metrics: Counts
    in_prometheus: Counts
    before: ResourceUsage
    after: ResourceUsage
    lowest_up: float | None
    unfinished: float


def request_checks(measured: Measurements) -> Iterator[Check]:
    """Check that every request is accounted for, everywhere with the same status."""
    results, reconciliation = measured.results, measured.reconciliation
    yield _none_of(
        "responses without a proper end",
        [result for result in results if result.status is Status.BROKEN],
    )
    yield _none_of("requests missing in the log", reconciliation.not_logged)
    yield _none_of("requests logged twice", reconciliation.logged_twice)
    yield _none_of("requests in the log that no client sent", reconciliation.not_sent)
    yield _none_of("requests with another endpoint or status in the log", reconciliation.mismatched)
    counts = by_status(reconciliation.counts)
    terms = " + ".join(f"{number} {status}" for status, number in counts.items())
    yield judged(
        "the statuses add up to the requests sent",
        f"{len(results)} sent = {terms}; {reconciliation.finished_first} were finished before "
        "their client disconnected",
        ok=sum(counts.values()) == len(results) > 0,
        hint=_LOG_HINT,
    )
    yield from explanation_checks(measured.explanation)
    yield _same_counts("/metrics", reconciliation.counts, measured.in_metrics)
    yield _same_counts("Prometheus", reconciliation.counts, measured.in_prometheus)


def explanation_checks(explanation: Explanation) -> Iterator[Check]:
    by_fault = ", ".join(f"{number} {kind}" for kind, number in explanation.explained.items())
    yield judged(
        "a fault that was active explains each failed request",
        f"{len(explanation.unexplained)} unexplained {explanation.unexplained[:_SHOWN] or ''}; "
        f"explained by the engine being: {by_fault or 'none'}",
        ok=not explanation.unexplained,
        hint="read the engine's and the proxy's log at the time of the first one",
    )
    yield judged(
        "requests that begin between faults succeed",
        f"{explanation.answered} of {explanation.undisturbed}, at least {LEAST_ANSWERED:.0%} "
        "are required",
        ok=explanation.share >= LEAST_ANSWERED,
        hint="the engine fails, or the model is too slow: use fewer --clients or a smaller MODEL",
    )


def resource_checks(measured: Measurements) -> Iterator[Check]:
    """Check that the proxy holds no more than before, and that its metrics were always there."""
    before, after = measured.before, measured.after
    yield judged(
        "open file descriptors are back at their initial number",
        f"{before.descriptors} before, {after.descriptors} after",
        ok=after.descriptors <= before.descriptors,
        hint="list /proc/PID/fd to see what is still open",
    )
    yield judged(
        "memory is back at its initial size",
        f"{before.memory_bytes / _MIB:.1f} MiB before, {after.memory_bytes / _MIB:.1f} MiB after",
        ok=after.memory_bytes <= before.memory_bytes + MEMORY_GROWTH_BYTES,
        hint="run the test for longer: a leak grows with time",
    )
    yield judged(
        "no request is running or queued",
        f"{measured.unfinished:g} requests",
        ok=not measured.unfinished,
        hint="a gauge that stays up means a request that the proxy never finished",
    )
    yield judged(
        "every scrape succeeded",
        f"lowest up: {measured.lowest_up}",
        ok=measured.lowest_up == 1,
        hint="/metrics must respond within the scrape timeout under any load",
    )


def _none_of(what: str, found: Sequence[object]) -> Check:
    evidence = f"{len(found)} {found[:_SHOWN] or ''}".strip()
    return judged(f"no {what}", evidence, ok=not found, hint=_LOG_HINT)


def _same_counts(where: str, expected: Counts, found: Counts) -> Check:
    differing = differences(expected, found)
    return judged(
        f"{where} has the same counts",
        "; ".join(differing) or f"{sum(found.values())} requests",
        ok=not differing,
        hint="compare with the proxy's log",
    )
