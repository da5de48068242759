"""Cause a condition, watch the alerts, and judge what was seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerts.rules import alerts
from ops.drill.conditions import Condition
from ops.drill.load import ClientGroup
from ops.drill.sandbox import Sandbox
from ops.drill.timeline import judge
from ops.drill.watcher import AlertSource, AlertWatcher
from ops.report import Check, failed, judged, passed, skipped

# Load while the alerts resolve. A real stack has some too, and enough healthy requests soon
# outnumber the failed and slow ones that the cause left behind.
RECOVERY_LOAD = ClientGroup(4, pause_seconds=0.1)
DOWN = "MistralDown"
MAX_RETRIES = 2
HINT = (
    "compare the rule with its promtool cases (tests/observability), then with the drill's "
    "intervals (ops/drill/intervals.py)"
)


@dataclass(frozen=True)
class ConditionRun:
    """One run of a condition.

    Attributes:
        watcher: What the sources reported.
        ended: When the cause ended, in seconds on the watcher's clock.
    """

    watcher: AlertWatcher
    ended: float


def condition_checks(
    condition: Condition, sandbox: Sandbox, sources: Sequence[AlertSource]
) -> Iterator[Check]:
    """Cause a condition and judge what was seen.

    On a busy machine the drill's Prometheus may fail to scrape the drill's proxy. MistralDown then
    fires rightly, but that says nothing about the condition, which is caused again.
    """
    run = run_condition(condition, sandbox, sources)
    for _ in range(MAX_RETRIES):
        if not _disturbed(condition, run.watcher):
            break
        yield skipped(condition.name, "the machine is too busy, scrapes timed out; trying again")
        run = run_condition(condition, sandbox, sources)
    waits = {alert.name: alert.for_seconds for alert in alerts(sandbox.config.thresholds)}
    yield from judge_run(condition, run, waits)


def run_condition(
    condition: Condition, sandbox: Sandbox, sources: Sequence[AlertSource]
) -> ConditionRun:
    """Cause a condition until every source shows its alerts firing, then wait for recovery."""
    timing = sandbox.config.thresholds.timing
    longest_wait = max(timing.ticket_for_seconds, timing.page_for_seconds, timing.down_for_seconds)
    timeout = sandbox.config.timeout_seconds
    with condition.cause(sandbox):
        watcher = AlertWatcher(sources)
        watcher.poll_until(
            lambda seen: (
                seen.seconds >= condition.min_seconds
                and all(timeline.all_fired(condition.expected) for timeline in seen.timelines)
            ),
            timeout=condition.onset_seconds + condition.min_seconds + longest_wait + timeout,
        )
        ended = watcher.seconds
    with sandbox.load(RECOVERY_LOAD):
        # Wait for pending alerts too: they could otherwise fire during the next condition.
        watcher.poll_until(
            lambda seen: all(timeline.all_inactive for timeline in seen.timelines),
            timeout=timing.slow_burn_seconds + timeout,
        )
    return ConditionRun(watcher, ended)


def judge_run(condition: Condition, run: ConditionRun, waits: Mapping[str, int]) -> Iterator[Check]:
    """Judge each expected alert in each source, and that no other alert fired.

    Args:
        condition: What was caused.
        run: What was seen.
        waits: Seconds for which each alert is pending before it fires, by name.
    """
    watcher = run.watcher
    for source, timeline in zip(watcher.sources, watcher.timelines, strict=True):
        for alert in condition.expected:
            wait_seconds = waits[alert] if source.shows_pending else None
            verdict = judge(timeline, alert, ended=run.ended, wait_seconds=wait_seconds)
            yield judged(
                f"{alert} {source.where}",
                verdict.evidence,
                ok=verdict.ok,
                hint=watcher.errors.get(source.where, HINT),
            )
    yield _no_other_alert(condition, watcher)


def _disturbed(condition: Condition, watcher: AlertWatcher) -> bool:
    return DOWN in _fired(watcher) - set(condition.expected)


def _fired(watcher: AlertWatcher) -> frozenset[str]:
    return frozenset[str]().union(*(timeline.fired() for timeline in watcher.timelines))


def _no_other_alert(condition: Condition, watcher: AlertWatcher) -> Check:
    name = "one fault pages once" if condition.expected else "healthy traffic pages nobody"
    unexpected = [
        f"{alert} {source.where} ({timeline.describe(alert, ended=None)})"
        for source, timeline in zip(watcher.sources, watcher.timelines, strict=True)
        for alert in sorted(timeline.fired() - {*condition.expected, *condition.tolerated})
    ]
    if unexpected:
        hint = "its expression must suppress it while the cause's alert fires (alerts/guards.py)"
        return failed(name, f"also fired: {'; '.join(unexpected)}", hint)
    fired = _fired(watcher)
    seen = {alert for timeline in watcher.timelines for alert in timeline.changes}
    tolerated = ", ".join(sorted(fired - set(condition.expected)))
    pending = ", ".join(sorted(seen - fired - set(condition.expected)))
    evidence = "no other alert fired"
    if tolerated:
        evidence += f" except {tolerated}, which can fire on a busy machine"
    if pending:
        evidence += f" ({pending} went back from pending to inactive)"
    return passed(name, evidence)
