"""Cause one condition after the other, watch, and say what was seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerts.rules import alerts
from ops.drill.bench import Bench
from ops.drill.conditions import Condition
from ops.drill.load import Clients
from ops.drill.timeline import judge
from ops.drill.watching import Observer, Watch
from ops.report import Check, failed, judged, passed, skipped

RECOVERING = Clients(4, pause_seconds=0.1)
"""While things recover, clients go on asking, as on a real stack: so many that what the cause left
unfinished is soon a small part."""
LOST = "MistralDown"
"""What tells that Prometheus lost the proxy."""
FURTHER_ATTEMPTS = 2
HINT = "compare the rule with its promtool cases (tests/observability), then with the drill's pace"


@dataclass(frozen=True)
class Run:
    """How one condition went.

    Attributes:
        watch: What was seen.
        ended: Seconds on the watch at which the cause was taken away.
    """

    watch: Watch
    ended: float


def run(condition: Condition, bench: Bench, observers: Sequence[Observer]) -> Run:
    """Cause a condition until its alerts fire everywhere, then end it until they resolved."""
    timing = bench.pace.limits.timing
    longest_wait = max(timing.ticket_for_seconds, timing.page_for_seconds, timing.down_for_seconds)
    patience = bench.pace.timeout_seconds
    with condition.caused(bench):
        watch = Watch(observers)
        watch.until(
            lambda seen: (
                seen.seconds >= condition.hold_seconds
                and all(timeline.all_firing(condition.tells) for timeline in seen.timelines)
            ),
            seconds=condition.takes_seconds + condition.hold_seconds + longest_wait + patience,
        )
        ended = watch.seconds
    with bench.asking(RECOVERING):
        # Not only resolved but quiet: what is still pending would fall into the next condition.
        watch.until(
            lambda seen: all(timeline.quiet for timeline in seen.timelines),
            seconds=timing.slow_burn_seconds + patience,
        )
    return Run(watch, ended)


def tried(condition: Condition, bench: Bench, observers: Sequence[Observer]) -> Iterator[Check]:
    """Cause a condition and judge what was seen.

    On a busy machine Prometheus may lose the drill's proxy, which is a second fault and rightly
    told. It says nothing about the condition, which is then caused anew.
    """
    done = run(condition, bench, observers)
    for _ in range(FURTHER_ATTEMPTS):
        if not _disturbed(condition, done.watch):
            break
        yield skipped(condition.name, "the machine is too busy: scrapes took too long; once more")
        done = run(condition, bench, observers)
    waits = {alert.name: alert.for_seconds for alert in alerts(bench.pace.limits)}
    yield from findings(condition, done, waits)


def _disturbed(condition: Condition, watch: Watch) -> bool:
    return LOST in _fired(watch) - set(condition.tells)


def _fired(watch: Watch) -> frozenset[str]:
    return frozenset[str]().union(*(timeline.fired() for timeline in watch.timelines))


def findings(condition: Condition, done: Run, waits: Mapping[str, int]) -> Iterator[Check]:
    """Judge each alert at each place, and that nothing else fired.

    Args:
        condition: What was caused.
        done: How it went.
        waits: Seconds that each alert is pending before it fires.
    """
    for observer, timeline in zip(done.watch.observers, done.watch.timelines, strict=True):
        for alert in condition.tells:
            waits_seconds = waits[alert] if observer.shows_pending else None
            verdict = judge(timeline, alert, ended=done.ended, waits_seconds=waits_seconds)
            complaint = done.watch.complaints.get(observer.place, "")
            yield judged(
                f"{alert} {observer.place}",
                verdict.evidence,
                ok=verdict.ok,
                hint=complaint or HINT,
            )
    yield _silence(condition, done.watch)


def _silence(condition: Condition, watch: Watch) -> Check:
    name = "one fault pages once"
    told = [
        f"{alert} {observer.place} ({timeline.story(alert, ended=None)})"
        for observer, timeline in zip(watch.observers, watch.timelines, strict=True)
        for alert in sorted(timeline.fired() - {*condition.tells, *condition.may_tell})
    ]
    if told:
        hint = "its expression should be quiet while the cause is told (alerts/guards.py)"
        return failed(name, f"also fired: {'; '.join(told)}", hint)
    seen = {alert for timeline in watch.timelines for alert in timeline.changes}
    beside = sorted(_fired(watch) - set(condition.tells))
    held = sorted(seen - _fired(watch) - set(condition.tells))
    besides = f" but {', '.join(beside)}, as may be on a busy machine" if beside else ""
    return passed(name, f"no other alert fired{besides}{_kept_back(held)}")


def _kept_back(alerts: Sequence[str]) -> str:
    return f" ({', '.join(alerts)} waited and fell silent)" if alerts else ""
