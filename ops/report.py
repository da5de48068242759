"""What a check says, and what all of them together mean."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "PASS"  # noqa: S105 (a verdict)
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was checked.
        outcome: PASS, FAIL, or SKIP where it does not apply.
        evidence: What was seen.
        hint: What to do about it; empty when nothing is to be done.
    """

    name: str
    outcome: Outcome
    evidence: str
    hint: str = ""

    def __str__(self) -> str:
        """Render as one line."""
        parts = [f"{self.outcome}  {self.name}", self.evidence, self.hint]
        return " — ".join(part for part in parts if part)


def passed(name: str, evidence: str) -> Check:
    """Return a check that passed."""
    return Check(name, Outcome.PASS, evidence)


def failed(name: str, evidence: str, hint: str) -> Check:
    """Return a check that failed; the hint says what to look at first."""
    return Check(name, Outcome.FAIL, evidence, hint)


def skipped(name: str, reason: str, hint: str = "") -> Check:
    """Return a check that does not apply here."""
    return Check(name, Outcome.SKIP, reason, hint)


def judged(name: str, evidence: str, *, ok: bool, hint: str) -> Check:
    """Return a check that passed or failed with the same evidence."""
    return passed(name, evidence) if ok else failed(name, evidence, hint)


@dataclass
class Report:
    """Collects findings, telling each at once.

    Args:
        tell: Takes each line as it comes.
    """

    tell: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)

    def section(self, title: str, checks: Iterable[Check]) -> None:
        """Run one section's checks."""
        self.tell(f"\n{title}")
        for check in checks:
            self.checks.append(check)
            self.tell(f"  {check}")

    def count(self, outcome: Outcome) -> int:
        """How many checks ended so."""
        return sum(check.outcome is outcome for check in self.checks)

    @property
    def summary(self) -> str:
        """The counts in words."""
        return (
            f"{self.count(Outcome.PASS)} passed, {self.count(Outcome.FAIL)} failed, "
            f"{self.count(Outcome.SKIP)} skipped"
        )

    def as_json(self) -> str:
        """Render every finding and the counts for machines."""
        counts = {outcome.lower(): self.count(outcome) for outcome in Outcome}
        checks = [asdict(check) for check in self.checks]
        return json.dumps({"checks": checks, "counts": counts}, indent=2)
