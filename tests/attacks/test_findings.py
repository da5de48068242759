"""What the checks of the attack test accept, and what they don't."""

from dataclasses import replace

import pytest

from ops.report import Outcome
from tests.attacks.attack import Attack
from tests.attacks.findings import (
    Finding,
    Sent,
    Times,
    attack_checks,
    final_checks,
    quiet_checks,
)
from tests.attacks.observation import Event
from tests.attacks.proxy import MIB, Restarts
from tests.attacks.sample import FINE, LIMITS, QUICK, SLOW
from tests.attacks.table import ATTACKS

ATTACK = replace(ATTACKS[0], name=FINE.name, expects=(431,), takes_slots=False)
GREEDY = replace(ATTACK, takes_slots=True)
REFUSED = Event(0.1, "server busy", refused=True)
FAILED = Event(0.1, "reset")


def failed(found: Finding, attack: Attack = ATTACK) -> list[str]:
    checks = attack_checks(attack, found, LIMITS)
    names = [check.name for check in checks if check.outcome is Outcome.FAIL]
    assert all(name.startswith(f"{attack.name}: ") for name in names)
    return [name.partition(": ")[2] for name in names]


def test_an_attack_without_consequences_passes() -> None:
    assert failed(FINE) == []
    assert all(check.outcome is Outcome.PASS for check in quiet_checks(FINE, LIMITS))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"sent": Sent(connections=1, answers={"200": 5})}, "the attack reached its aim"),
        ({"sent": Sent()}, "the attack reached its aim"),
        ({"sent": replace(FINE.sent, error="crashed")}, "the attack reached its aim"),
        ({"restarts": Restarts(1, "exit code 137")}, "the proxy did not restart"),
        (
            {"livez": Times.of([QUICK] * 98 + [SLOW] * 2, LIMITS.livez_seconds)},
            "/livez answers within 250 ms, 99 times of 100",
        ),
        (
            {"livez": Times.of([QUICK] * 98 + [FAILED] * 2, LIMITS.livez_seconds)},
            "/livez answers within 250 ms, 99 times of 100",
        ),
        ({"livez": Times.of([])}, "/livez answers within 250 ms, 99 times of 100"),
        ({"scrapes": Times.of([QUICK, FAILED])}, "no scrape failed"),
        ({"scrapes": Times.of([])}, "no scrape failed"),
        ({"clients": Times.of([QUICK, FAILED])}, "no request of an ordinary client failed"),
        ({"clients": Times.of([QUICK, REFUSED])}, "no request of an ordinary client failed"),
        ({"clients": Times.of([])}, "no request of an ordinary client failed"),
    ],
)
def test_every_consequence_is_found(change: dict[str, object], check: str) -> None:
    assert failed(replace(FINE, **change)) == [check]  # type: ignore[arg-type]


def test_clients_may_wait_while_an_attack_takes_the_slots_but_not_fail() -> None:
    """A full queue refuses ordinary clients too; that is Ollama's own behaviour."""
    assert failed(replace(FINE, clients=Times.of([REFUSED])), GREEDY) == []
    assert failed(replace(FINE, clients=Times.of([FAILED])), GREEDY) != []


def test_memory_that_is_not_given_back_is_found() -> None:
    def outcome(at_end: int) -> Outcome:
        (check,) = final_checks(50 * MIB, at_end, LIMITS)
        return check.outcome

    assert outcome(50 * MIB + LIMITS.memory_growth_bytes) is Outcome.PASS
    assert outcome(50 * MIB + LIMITS.memory_growth_bytes + 1) is Outcome.FAIL


def test_percentiles_are_the_values_that_so_many_do_not_exceed() -> None:
    times = Times.of([Event(float(number)) for number in range(100, 0, -1)])

    assert (times.p50, times.p95, times.p99, times.longest) == (50.0, 95.0, 99.0, 100.0)
