"""Which failures the injected faults explain."""

import pytest

from ops.report import Outcome
from tests.soak.checks import explanation_checks
from tests.soak.explanation import MARGIN_SECONDS, Window, explain
from tests.soak.reconciliation import Result, Status

KILLED = Window("killed", 100.0, 110.0)
LAST_EFFECT = KILLED.ended + MARGIN_SECONDS


def result(status: Status, began: float, ended: float) -> Result:
    return Result("a", "chat", status, began=began, ended=ended)


@pytest.mark.parametrize(
    ("began", "ended"),
    [(90.0, 100.0), (105.0, 106.0), (99.0, 111.0), (110.0, 115.0), (LAST_EFFECT, 120.0)],
)
def test_a_failure_during_a_fault_or_soon_after_it_is_explained(began: float, ended: float) -> None:
    explanation = explain([result(Status.ERROR, began, ended)], [KILLED])

    assert explanation.explained == {"killed": 1}
    assert explanation.unexplained == []


@pytest.mark.parametrize(("began", "ended"), [(90.0, 99.9), (LAST_EFFECT + 0.1, 120.0)])
def test_a_failure_outside_every_fault_fails_the_run(began: float, ended: float) -> None:
    failure = result(Status.ERROR, began, ended)
    explanation = explain([failure], [KILLED, Window("paused", 200.0, 201.0)])

    assert explanation.unexplained == [failure]
    assert next(iter(explanation_checks(explanation))).outcome is Outcome.FAIL


def test_requests_that_begin_between_faults_are_judged_and_others_are_not() -> None:
    results = [
        result(Status.SUCCESS, 50.0, 51.0),
        result(Status.ERROR, 98.0, 101.0),
        result(Status.ERROR, 101.0, 102.0),
        result(Status.SUCCESS, 105.0, 120.0),
        result(Status.CLIENT_ERROR, 50.0, 50.1),
        result(Status.CANCELLED, 50.0, 50.1),
    ]
    explanation = explain(results, [KILLED])

    assert (explanation.answered, explanation.undisturbed) == (1, 2)
    assert explanation.share == 0.5


@pytest.mark.parametrize(
    ("answered", "failed", "outcome"),
    [(6, 4, Outcome.PASS), (5, 5, Outcome.FAIL), (0, 0, Outcome.FAIL), (95, 3_933, Outcome.FAIL)],
)
def test_too_few_good_answers_between_faults_fail_the_run(
    answered: int, failed: int, outcome: Outcome
) -> None:
    """Even if a fault explains every failure, because each lasted until the next fault."""
    results = [result(Status.SUCCESS, 50.0, 51.0)] * answered
    results += [result(Status.ERROR, 50.0, 101.0)] * failed
    explained, between = explanation_checks(explain(results, [KILLED]))

    assert (explained.outcome, between.outcome) == (Outcome.PASS, outcome)
