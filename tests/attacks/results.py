"""The file with the findings. A run that was interrupted continues with it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from ops.terminal.console import OperatorError
from tests.attacks.attack import Attack
from tests.attacks.findings import Finding
from tests.attacks.proxy import MIB

Conditions = Mapping[str, str | float]

_COLUMNS: Final = (
    "Attack",
    "Requests, MB",
    "Answers",
    "`/livez` p50, p99, max",
    "Clients: done, refused, failed",
    "p95, usual p95",
    "Scrapes: done, failed, slowest",
    "Memory before, at most, after",
    "Restarts",
)


class _Stored(msgspec.Struct):
    conditions: dict[str, str | float]
    findings: list[Finding]


class Results:
    """Findings by attack, written to a file whenever one is added.

    Args:
        file: The file.
        conditions: What findings in one file have in common.
    """

    def __init__(self, file: Path, conditions: Conditions) -> None:
        self._file = file
        self._conditions = dict(conditions)
        self._findings: dict[str, Finding] = {}

    def load(self) -> None:
        """Read the findings of an earlier run; there may be none.

        Raises:
            OperatorError: It was made under other conditions, or isn't a file of results.
        """
        if not self._file.exists():
            return
        stored = _read(self._file)
        if stored.conditions != self._conditions:
            raise OperatorError(
                f"{self._file} has results of a run with {stored.conditions}: "
                "use the same options, or another --folder"
            )
        self._findings = {finding.name: finding for finding in stored.findings}

    def of(self, attack: Attack) -> Finding | None:
        """Return what is known of an attack."""
        return self._findings.get(attack.name)

    def add(self, finding: Finding) -> None:
        """Add a finding and write the file."""
        self._findings[finding.name] = finding
        findings = [asdict(one) for one in self._findings.values()]
        text = json.dumps({"conditions": self._conditions, "findings": findings}, indent=2)
        self._file.write_text(text + "\n", encoding="utf-8")


def table_of(file: Path) -> str:
    """Return the findings in a file as a Markdown table. Raises OperatorError if it has none."""
    head = _row(_COLUMNS) + "\n" + _row(["---"] * len(_COLUMNS))
    return "\n".join([head, *(_row(_cells(found)) for found in _read(file).findings)])


def _read(file: Path) -> _Stored:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Stored)
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorError(f"{file} has no results: {error}") from error


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(found: Finding) -> tuple[str, ...]:
    sent, livez, clients, scrapes = found.sent, found.livez, found.clients, found.scrapes
    seconds = (livez.p50, livez.p99, livez.longest)
    memory = (found.memory_before, found.memory_peak, found.memory_after)
    return (
        found.name,
        f"{sent.requests:,}, {sent.sent_bytes / 1e6:,.1f}",
        ", ".join(f"{status}: {number:,}" for status, number in sent.answers.items()) or "none",
        ", ".join(f"{one * 1000:.0f}" for one in seconds) + " ms",
        f"{clients.done:,}, {clients.refused:,}, {clients.failed:,}",
        f"{clients.p95:.2f} s, {found.usual_p95:.2f} s",
        f"{scrapes.done}, {scrapes.failed}, {scrapes.longest * 1000:.0f} ms",
        ", ".join(f"{size / MIB:.0f}" for size in memory) + " MiB",
        f"{found.restarts.number}",
    )
