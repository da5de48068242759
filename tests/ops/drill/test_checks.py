from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ops.drill.checks import condition_checks
from ops.drill.conditions import Condition
from ops.drill.intervals import DrillConfig
from ops.drill.timeline import State
from tests.ops.drill.sources import Script

if TYPE_CHECKING:
    from ops.drill.sandbox import Sandbox

FIRING = State.FIRING


ERRORS = "MistralHighErrorRate"


@dataclass
class EmptySandbox:
    """A sandbox without services, for scripted sources."""

    config: DrillConfig = field(default_factory=DrillConfig)
    load: Callable[..., AbstractContextManager[None]] = lambda *_: nullcontext()


def checks_after(*polls: Mapping[str, State], expected: tuple[str, ...] = (ERRORS,)) -> list[str]:
    """The beginnings of the checks of a condition during which the source reports this."""
    condition = Condition("errors", "", expected, lambda _: nullcontext())
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


def test_healthy_traffic_fails_the_drill_if_an_alert_fires() -> None:
    pending = {ERRORS: State.PENDING}

    assert checks_after(pending, {}, expected=()) == ["PASS  healthy traffic pages nobody"]
    assert checks_after({ERRORS: FIRING}, {}, expected=()) == ["FAIL  healthy traffic pages nobody"]
