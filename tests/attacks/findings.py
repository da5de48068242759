"""What one attack did to the proxy and its clients, and what is wrong with that. Pure functions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from ops.report import Check, judged, passed
from tests.attacks.attack import Attack
from tests.attacks.observation import Event
from tests.attacks.proxy import MIB, Restarts

_SHOWN: Final = 3
_LATE_SHARE: Final = 0.01
_LOG_HINT: Final = "read proxy.log, beside the results"


@dataclass(frozen=True)
class Limits:
    """What the checks allow.

    Attributes:
        livez_seconds: 99 of 100 answers of ``/livez`` must come within this time.
        memory_growth_bytes: How much more memory than after the warm-up the proxy may have at the
            end. The allocator keeps some of what was freed.
    """

    livez_seconds: float = 0.25
    memory_growth_bytes: int = 64 * MIB


@dataclass(frozen=True)
class Times:
    """How a number of requests went; times are in seconds, 0 without requests.

    Attributes:
        done: How many succeeded.
        refused: How many got the 503 of a full queue.
        failed: How many failed otherwise.
        late: How many failed, or took longer than a limit.
        failures: The first few reasons.
        p50: Median of all.
        p95: 95th percentile.
        p99: 99th percentile.
        longest: The longest time.
    """

    done: int
    refused: int
    failed: int
    late: int
    failures: tuple[str, ...]
    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, events: Sequence[Event], limit_seconds: float = math.inf) -> Self:
        """Sum up events."""
        failures = [event.failure for event in events if event.failure and not event.refused]
        refused = sum(event.refused for event in events)
        seconds = sorted(event.seconds for event in events)
        return cls(
            done=len(events) - len(failures) - refused,
            refused=refused,
            failed=len(failures),
            late=sum(bool(event.failure) or event.seconds > limit_seconds for event in events),
            failures=tuple(failures[:_SHOWN]),
            p50=quantile(seconds, 0.5),
            p95=quantile(seconds, 0.95),
            p99=quantile(seconds, 0.99),
            longest=quantile(seconds, 1.0),
        )

    @property
    def all(self) -> int:
        """How many there were."""
        return self.done + self.refused + self.failed


@dataclass(frozen=True)
class Sent:
    """What an attack sent and got.

    Attributes:
        connections: Connections that it opened.
        requests: Requests that it began.
        sent_bytes: Bytes that it sent.
        answers: How often each status came, and each other end of a connection.
        error: Why the attack itself failed; empty if it ran to its end.
    """

    connections: int = 0
    requests: int = 0
    sent_bytes: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    error: str = ""

    def __str__(self) -> str:
        """Render it for the report."""
        answers = ", ".join(f"{status}: {number:,}" for status, number in self.answers.items())
        return (
            f"{self.connections:,} connections, {self.requests:,} requests, "
            f"{self.sent_bytes / 1e6:,.1f} MB; answers: {answers or 'none'}"
        )


@dataclass(frozen=True)
class Finding:
    """What happened during one attack and the pause after it.

    Attributes:
        name: The attack.
        sent: What it sent and got.
        livez: The requests for ``/livez``.
        clients: The ordinary clients' requests.
        scrapes: The scrapes.
        memory_before: Resident memory of the proxy before the attack, in bytes.
        memory_peak: The most during it.
        memory_after: The same after the pause.
        restarts: How often the proxy was started again.
        usual_p95: 95th percentile of the clients' times while nobody attacked, in seconds.
    """

    name: str
    sent: Sent
    livez: Times
    clients: Times
    scrapes: Times
    memory_before: int
    memory_peak: int
    memory_after: int
    restarts: Restarts = field(default_factory=Restarts)
    usual_p95: float = 0.0


def attack_checks(attack: Attack, found: Finding, limits: Limits) -> Iterator[Check]:
    """Check what happened during one attack; the names of the checks begin with its name."""
    for check in _attack_checks(attack, found, limits):
        yield replace(check, name=f"{attack.name}: {check.name}")


def _attack_checks(attack: Attack, found: Finding, limits: Limits) -> Iterator[Check]:
    statuses = [str(status) for status in attack.expects]
    yield judged(
        "the attack reached its aim",
        found.sent.error or str(found.sent),
        ok=not found.sent.error and attack.reached(found.sent.connections, found.sent.answers),
        hint=f"expected answers: {' or '.join(statuses) or 'any'}",
    )
    yield from _service_checks(found, limits)
    yield _client_check(found, may_wait=attack.takes_slots)
    yield _memory(found)


def quiet_checks(found: Finding, limits: Limits) -> Iterator[Check]:
    """Check what happened without an attack: else the machine is too slow or too busy."""
    yield from _service_checks(found, limits)
    yield _client_check(found, may_wait=False)
    yield _memory(found)


def _service_checks(found: Finding, limits: Limits) -> Iterator[Check]:
    livez, scrapes = found.livez, found.scrapes
    yield judged(
        "the proxy did not restart",
        str(found.restarts),
        ok=not found.restarts.number,
        hint=_LOG_HINT,
    )
    yield judged(
        f"/livez answers within {limits.livez_seconds * 1000:g} ms, 99 times of 100",
        f"p50 {_ms(livez.p50)}, p99 {_ms(livez.p99)}, max {_ms(livez.longest)}; {livez.late} of "
        f"{livez.all} late or failed {_shown(livez)}".strip(),
        ok=livez.all > 0 and livez.late <= livez.all * _LATE_SHARE,
        hint="look for work that isn't divided, or for a machine that is busy with other work",
    )
    yield judged(
        "no scrape failed",
        f"{scrapes.done} done, {scrapes.failed} failed, slowest {_ms(scrapes.longest)} "
        f"{_shown(scrapes)}".strip(),
        ok=scrapes.done > 0 and not scrapes.failed,
        hint="/metrics must respond within the scrape timeout under any load",
    )


def _client_check(found: Finding, *, may_wait: bool) -> Check:
    clients = found.clients
    usual = f", without attack {found.usual_p95:.2f} s" if found.usual_p95 else ""
    return judged(
        "no request of an ordinary client failed",
        f"{clients.done} done, {clients.refused} refused, {clients.failed} failed; "
        f"p95 {clients.p95:.2f} s{usual} {_shown(clients)}".strip(),
        ok=not clients.failed and (may_wait or (not clients.refused and clients.done > 0)),
        hint=_LOG_HINT,
    )


def _memory(found: Finding) -> Check:
    before, peak, after = found.memory_before, found.memory_peak, found.memory_after
    evidence = f"{_mib(before)} before, {_mib(peak)} at most, {_mib(after)} after"
    return passed("memory", evidence)


def final_checks(after_warm_up: int, at_end: int, limits: Limits) -> Iterator[Check]:
    """Check that the memory, in bytes, is back to where it was after the warm-up."""
    yield judged(
        "memory is back to its level after the warm-up",
        f"{_mib(after_warm_up)} then, {_mib(at_end)} at the end",
        ok=at_end <= after_warm_up + limits.memory_growth_bytes,
        hint=f"more than {_mib(limits.memory_growth_bytes)} above it: something is still held",
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of sorted values don't exceed; 0 without values."""
    return values[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0


def _shown(times: Times) -> str:
    return f"({'; '.join(times.failures)})" if times.failures else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _mib(size: float) -> str:
    return f"{size / MIB:.0f} MiB"
