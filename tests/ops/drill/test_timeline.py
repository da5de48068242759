"""How the drill records the states that it sees, and what it concludes from them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest

from ops.drill.checks import condition_checks
from ops.drill.conditions import Condition
from ops.drill.intervals import DrillConfig
from ops.drill.timeline import State, Timeline, judge, worst
from ops.drill.watcher import POLLER, AlertSourceError, AlertWatcher
from ops.drill.webhook import NotifiedAlerts

if TYPE_CHECKING:
    from ops.drill.sandbox import Sandbox

ERRORS = "MistralHighErrorRate"
INACTIVE, PENDING, FIRING = State.INACTIVE, State.PENDING, State.FIRING


def seen(*states: State) -> Timeline:
    """The timeline of one alert, with one poll per second."""
    timeline = Timeline()
    for second, state in enumerate(states):
        timeline.record(second, {"A": state})
    return timeline


def test_only_changes_are_recorded() -> None:
    timeline = seen(INACTIVE, PENDING, PENDING, FIRING, FIRING, INACTIVE)

    assert [(c.seconds, c.state) for c in timeline.changes["A"]] == [
        (1, PENDING),
        (3, FIRING),
        (5, INACTIVE),
    ]


def test_an_alert_that_is_no_longer_reported_is_inactive() -> None:
    timeline = seen(FIRING)

    timeline.record(1, {})

    assert timeline.all_inactive
    assert timeline.fired() == {"A"}


def test_a_pending_alert_is_not_inactive() -> None:
    assert not seen(PENDING).all_inactive


def test_pending_firing_resolved_passes_with_its_timings() -> None:
    verdict = judge(seen(INACTIVE, PENDING, FIRING, FIRING, INACTIVE), "A", ended=3, wait_seconds=2)

    assert verdict.ok
    assert verdict.evidence == "pending +1 s, firing +2 s, resolved +1 s after the cause ended"


@pytest.mark.parametrize(
    ("states", "complaint"),
    [
        ([INACTIVE], "never pending; never firing"),
        ([PENDING, INACTIVE], "never firing"),
        ([PENDING, FIRING], "not resolved"),
        ([FIRING, INACTIVE], "fired without being pending first"),
    ],
)
def test_every_other_sequence_fails_and_says_what_is_missing(
    states: list[State], complaint: str
) -> None:
    verdict = judge(seen(*states), "A", ended=0, wait_seconds=2)

    assert not verdict.ok
    assert complaint in verdict.evidence


def test_a_source_without_pending_alerts_need_not_show_one() -> None:
    assert judge(seen(FIRING, INACTIVE), "A", ended=0, wait_seconds=None).ok


def test_the_pending_state_may_fall_between_two_polls_that_are_far_apart() -> None:
    timeline = Timeline()
    timeline.record(1, {"A": INACTIVE})
    timeline.record(12, {"A": FIRING})
    timeline.record(13, {"A": INACTIVE})

    assert judge(timeline, "A", ended=12, wait_seconds=10).ok
    assert not judge(timeline, "A", ended=12, wait_seconds=20).ok


def test_an_alert_has_the_state_of_its_worst_series() -> None:
    assert worst([INACTIVE, FIRING, PENDING]) is FIRING
    assert worst([]) is INACTIVE


@dataclass
class Script:
    """A source that reports scripted states, and then repeats the last ones."""

    polls: Iterator[Mapping[str, State] | None]
    where: str = "in a script"
    shows_pending: bool = True
    last: Mapping[str, State] = field(default_factory=dict)

    def states(self) -> Mapping[str, State]:
        found = next(self.polls, self.last)
        if found is None:
            raise AlertSourceError("busy")
        self.last = found
        return found


class Clock:
    """A clock that advances only while the watcher sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watching(*scripts: Script) -> AlertWatcher:
    clock = Clock()
    return AlertWatcher(scripts, replace(POLLER, clock=clock, sleep=clock.sleep))


def test_polling_ends_as_soon_as_every_source_has_shown_enough() -> None:
    early = Script(iter([{"A": FIRING}]))
    late = Script(iter([{}, {"A": PENDING}, {"A": FIRING}]), where="elsewhere")
    watcher = watching(early, late)

    good = watcher.poll_until(lambda w: all(t.all_fired(["A"]) for t in w.timelines), timeout=10)

    assert good
    assert watcher.seconds == 0.5
    assert watcher.timelines[1].changes["A"][0].seconds == 0.25


def test_polling_times_out_when_nothing_happens() -> None:
    watcher = watching(Script(iter([])))

    assert not watcher.poll_until(lambda w: w.timelines[0].all_fired(["A"]), timeout=3)
    assert watcher.seconds == 3


def test_a_source_that_fails_keeps_its_last_known_states() -> None:
    watcher = watching(Script(iter([{"A": FIRING}, None])))

    watcher.poll()
    watcher.poll()

    assert watcher.timelines[0].current("A") is FIRING
    assert watcher.errors == {"in a script": "busy"}


@dataclass
class EmptySandbox:
    """A sandbox without services, for scripted sources."""

    config: DrillConfig = field(default_factory=DrillConfig)
    load: Callable[..., AbstractContextManager[None]] = lambda *_: nullcontext()


def checks_after(*polls: Mapping[str, State]) -> list[str]:
    """The beginnings of the checks of a condition during which the source reports this."""
    condition = Condition("errors", "", (ERRORS,), lambda _: nullcontext())
    sandbox = cast("Sandbox", EmptySandbox())
    checks = condition_checks(condition, sandbox, [Script(iter(polls), shows_pending=False)])
    return [str(check).partition(" — ")[0] for check in checks]


def test_a_condition_is_caused_again_when_prometheus_lost_the_proxy() -> None:
    lost, well = {"MistralDown": FIRING, ERRORS: FIRING}, {ERRORS: FIRING}

    assert checks_after(lost, {}, well, {}) == [
        "SKIP  errors",
        f"PASS  {ERRORS} in a script",
        "PASS  one fault pages once",
    ]
    assert checks_after(*[lost, {}] * 3) == [
        *["SKIP  errors"] * 2,
        f"PASS  {ERRORS} in a script",
        "FAIL  one fault pages once",
    ]


def notification(status: str, model: str) -> Mapping[str, object]:
    return {"alerts": [{"status": status, "labels": {"alertname": "A", "model": model}}]}


def test_the_webhook_reports_an_alert_resolved_when_its_last_series_is() -> None:
    notified = NotifiedAlerts()
    notified.update(notification("firing", "x"))
    notified.update(notification("firing", "y"))

    notified.update(notification("resolved", "x"))
    assert notified.states() == {"A": FIRING}

    notified.update(notification("resolved", "y"))
    assert notified.states() == {"A": INACTIVE}
