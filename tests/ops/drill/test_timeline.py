"""How the drill records the states that it sees, and what it concludes from them."""

import pytest

from ops.drill.timeline import State, Timeline, judge, worst

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
