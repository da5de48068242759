"""What the drill makes of the states that it sees."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from ops.drill.conditions import Condition
from ops.drill.pace import Pace
from ops.drill.running import tried
from ops.drill.timeline import State, Timeline, judge, worst
from ops.drill.watching import ObserverError, Watch
from ops.drill.webhook import AtWebhook

if TYPE_CHECKING:
    from ops.drill.bench import Bench

ERRORS = "MistralHighErrorRate"
INACTIVE, PENDING, FIRING = State.INACTIVE, State.PENDING, State.FIRING


def seen(*states: State) -> Timeline:
    """The timeline of one alert, one look per second."""
    timeline = Timeline()
    for second, state in enumerate(states):
        timeline.record(second, {"A": state})
    return timeline


def test_only_changes_are_written_down() -> None:
    timeline = seen(INACTIVE, PENDING, PENDING, FIRING, FIRING, INACTIVE)

    assert [(c.seconds, c.state) for c in timeline.changes["A"]] == [
        (1, PENDING),
        (3, FIRING),
        (5, INACTIVE),
    ]


def test_an_alert_that_is_no_longer_named_is_inactive() -> None:
    timeline = seen(FIRING)

    timeline.record(1, {})

    assert timeline.quiet
    assert timeline.fired() == {"A"}


def test_nothing_is_quiet_while_something_waits() -> None:
    assert not seen(PENDING).quiet


def test_pending_firing_resolved_passes_with_its_timings() -> None:
    verdict = judge(
        seen(INACTIVE, PENDING, FIRING, FIRING, INACTIVE), "A", ended=3, waits_seconds=2
    )

    assert verdict.ok
    assert verdict.evidence == "pending +1 s, firing +2 s, resolved +1 s after the cause"


@pytest.mark.parametrize(
    ("states", "complaint"),
    [
        ([INACTIVE], "never pending; never firing"),
        ([PENDING, INACTIVE], "never firing"),
        ([PENDING, FIRING], "not resolved"),
        ([FIRING, INACTIVE], "fired without having been pending"),
    ],
)
def test_every_other_journey_fails_and_says_what_is_missing(
    states: list[State], complaint: str
) -> None:
    verdict = judge(seen(*states), "A", ended=0, waits_seconds=2)

    assert not verdict.ok
    assert complaint in verdict.evidence


def test_where_waiting_cannot_be_seen_it_is_not_asked_for() -> None:
    assert judge(seen(FIRING, INACTIVE), "A", ended=0, waits_seconds=None).ok


def test_an_alert_may_wait_between_two_looks_that_are_far_apart() -> None:
    timeline = Timeline()
    timeline.record(1, {"A": INACTIVE})
    timeline.record(12, {"A": FIRING})
    timeline.record(13, {"A": INACTIVE})

    assert judge(timeline, "A", ended=12, waits_seconds=10).ok
    assert not judge(timeline, "A", ended=12, waits_seconds=20).ok


def test_an_alert_is_what_its_worst_series_is() -> None:
    assert worst([INACTIVE, FIRING, PENDING]) is FIRING
    assert worst([]) is INACTIVE


@dataclass
class Script:
    """An observer that says one thing after the other, the last one for ever."""

    looks: Iterator[Mapping[str, State] | None]
    place: str = "in a script"
    shows_pending: bool = True
    last: Mapping[str, State] = field(default_factory=dict)

    def states(self) -> Mapping[str, State]:
        found = next(self.looks, self.last)
        if found is None:
            raise ObserverError("busy")
        self.last = found
        return found


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def watching(*scripts: Script) -> Watch:
    clock = Clock()
    return Watch(scripts, clock, clock.pause)


def test_a_watch_ends_as_soon_as_everyone_has_seen_enough() -> None:
    early = Script(iter([{"A": FIRING}]))
    late = Script(iter([{}, {"A": PENDING}, {"A": FIRING}]), place="elsewhere")
    watch = watching(early, late)

    good = watch.until(lambda w: all(t.all_firing(["A"]) for t in w.timelines), seconds=10)

    assert good
    assert watch.seconds == 0.5
    assert watch.timelines[1].changes["A"][0].seconds == 0.25


def test_a_watch_has_an_end_when_nothing_happens() -> None:
    watch = watching(Script(iter([])))

    assert not watch.until(lambda w: w.timelines[0].all_firing(["A"]), seconds=3)
    assert watch.seconds == 3


def test_who_cannot_be_asked_for_a_moment_is_taken_at_the_last_word() -> None:
    watch = watching(Script(iter([{"A": FIRING}, None])))

    watch.look()
    watch.look()

    assert watch.timelines[0].now("A") is FIRING
    assert watch.complaints == {"in a script": "busy"}


@dataclass
class NoBench:
    """Where nothing needs to be caused, since the observers say what they say anyway."""

    pace: Pace = field(default_factory=Pace)
    asking: Callable[..., AbstractContextManager[None]] = lambda *_: nullcontext()


def tried_while(*looks: Mapping[str, State]) -> list[str]:
    """The lines on a condition that an observer in Prometheus sees this way."""
    condition = Condition("errors", "", (ERRORS,), lambda _: nullcontext())
    bench = cast("Bench", NoBench())
    checks = tried(condition, bench, [Script(iter(looks), shows_pending=False)])
    return [str(check).partition(" — ")[0] for check in checks]


def test_a_condition_is_caused_anew_where_prometheus_lost_the_proxy_meanwhile() -> None:
    lost, well = {"MistralDown": FIRING, ERRORS: FIRING}, {ERRORS: FIRING}

    assert tried_while(lost, {}, well, {}) == [
        "SKIP  errors",
        f"PASS  {ERRORS} in a script",
        "PASS  one fault pages once",
    ]
    assert tried_while(*[lost, {}] * 3) == [
        *["SKIP  errors"] * 2,
        f"PASS  {ERRORS} in a script",
        "FAIL  one fault pages once",
    ]


def notification(status: str, model: str) -> Mapping[str, object]:
    return {"alerts": [{"status": status, "labels": {"alertname": "A", "model": model}}]}


def test_the_webhook_tells_an_alert_resolved_when_its_last_series_is() -> None:
    told = AtWebhook()
    told.take(notification("firing", "x"))
    told.take(notification("firing", "y"))

    told.take(notification("resolved", "x"))
    assert told.states() == {"A": FIRING}

    told.take(notification("resolved", "y"))
    assert told.states() == {"A": INACTIVE}
