"""The results of checks, printed one by one and counted."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The result of a check."""

    PASS = "PASS"  # noqa: S105 (a verdict)
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True)
class Check:
    """A finished check.

    Attributes:
        name: What was checked.
        outcome: PASS, FAIL, or SKIP where the check does not apply.
        evidence: What was observed.
        hint: What to do about it; empty for nothing.
    """

    name: str
    outcome: Outcome
    evidence: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the check as one line."""
        parts = [f"{self.outcome}  {self.name}", self.evidence, self.hint]
        return " — ".join(part for part in parts if part)


def passed(name: str, evidence: str) -> Check:
    """Return a check that passed."""
    return Check(name, Outcome.PASS, evidence)


def failed(name: str, evidence: str, hint: str) -> Check:
    """Return a check that failed; the hint says what to look at first."""
    return Check(name, Outcome.FAIL, evidence, hint)


def skipped(name: str, reason: str, hint: str = "") -> Check:
    """Return a check that does not apply."""
    return Check(name, Outcome.SKIP, reason, hint)


def judged(name: str, evidence: str, *, ok: bool, hint: str) -> Check:
    """Return a check that passed if ``ok``, else one that failed, with the same evidence."""
    return passed(name, evidence) if ok else failed(name, evidence, hint)


@dataclass
class Report:
    """Collects checks and prints each one at once, in sections that it numbers.

    Args:
        write_line: Prints a line.
    """

    write_line: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    _headings: int = field(default=0, init=False)

    def heading(self, title: str) -> None:
        """Print the next section's number and title."""
        self._headings += 1
        self.write_line(f"\n({self._headings}) {title}")

    def section(self, title: str, checks: Iterable[Check]) -> None:
        """Run the checks of one section."""
        self.heading(title)
        for check in checks:
            self.checks.append(check)
            self.write_line(f"  {check}")

    def count(self, outcome: Outcome) -> int:
        """Return the number of checks with this outcome."""
        return sum(check.outcome is outcome for check in self.checks)

    @property
    def summary(self) -> str:
        """The number of checks with each outcome."""
        return (
            f"{self.count(Outcome.PASS)} passed, {self.count(Outcome.FAIL)} failed, "
            f"{self.count(Outcome.SKIP)} skipped"
        )

    def as_json(self) -> str:
        """Return all checks and the counts as JSON."""
        counts = {outcome.lower(): self.count(outcome) for outcome in Outcome}
        checks = [asdict(check) for check in self.checks]
        return json.dumps({"checks": checks, "counts": counts}, indent=2)
