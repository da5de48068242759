"""The clients' books, and what they must agree with; pure functions of what was written down.

A client knows how its request ended, but for one thing: whether the proxy had ended it already
when the client left. There the proxy's log decides, so that the sums can be compared exactly.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Ending(StrEnum):
    """How a request ended for its client; the values are those of the metrics' ``status``.

    ``BROKEN`` is no such status: an answer without a proper end, which nothing excuses.
    """

    ANSWERED = "success"
    REFUSED = "client_error"
    FAILED = "error"
    LEFT = "cancelled"
    BROKEN = "broken"


Sums = Counter[tuple[str, str]]
"""Requests by the metrics' ``endpoint`` and ``status``."""


@dataclass(frozen=True)
class Entry:
    """One request in a client's book; ``endpoint`` is the label that the metrics give it."""

    request_id: str
    endpoint: str
    ending: Ending
    note: str = ""


@dataclass(frozen=True)
class Finished:
    """One request as the proxy's log tells it."""

    request_id: str
    endpoint: str
    status: str


@dataclass(frozen=True)
class Account:
    """Books and log side by side.

    Attributes:
        sums: The books by endpoint and status, those who left as the log tells them.
        missing: Requests that the log does not know.
        repeated: Requests that the log has more than once.
        strangers: Requests of the log that no client sent.
        contradicted: Requests that ended otherwise for the client than for the proxy.
        overtaken: How many of those who left had been answered, in full or by an error.
    """

    sums: Sums
    missing: list[Entry]
    repeated: list[str]
    strangers: list[Finished]
    contradicted: list[tuple[Entry, Finished]]
    overtaken: int


def read_log(lines: Iterable[str]) -> list[Finished]:
    """Find the finished requests in the proxy's log."""
    found: list[Finished] = []
    for line in lines:
        if '"event":"request_finished"' in line:
            entry: Mapping[str, str] = json.loads(line)
            found.append(Finished(entry["request_id"], entry["endpoint"], entry["status"]))
    return found


def settle(entries: Iterable[Entry], log: Iterable[Finished]) -> Account:
    """Compare each request of the books with the log."""
    told: dict[str, Finished] = {}
    repeated: list[str] = []
    for finished in log:
        if finished.request_id in told:
            repeated.append(finished.request_id)
        told[finished.request_id] = finished
    account = Account(Counter(), [], repeated, [], [], 0)
    overtaken = 0
    for entry in entries:
        known = told.pop(entry.request_id, None)
        if known is None:
            account.missing.append(entry)
            continue
        status = entry.ending.value
        if entry.ending is Ending.LEFT:
            overtaken += known.status != status
            status = known.status
        if (known.endpoint, known.status) != (entry.endpoint, status):
            account.contradicted.append((entry, known))
        account.sums[entry.endpoint, status] += 1
    return Account(
        account.sums, account.missing, repeated, [*told.values()], account.contradicted, overtaken
    )


def differences(expected: Sums, counted: Sums) -> list[str]:
    """Name each endpoint and status whose count differs."""
    return [
        f"{' '.join(key)}: {expected[key]} sent, {counted[key]} counted"
        for key in sorted({*expected, *counted})
        if expected[key] != counted[key]
    ]


SETTLED_STATUSES: Final = tuple(e.value for e in Ending if e is not Ending.BROKEN)


def by_status(sums: Sums) -> dict[str, int]:
    """Add up the endpoints."""
    return {
        status: sum(count for (_, found), count in sums.items() if found == status)
        for status in SETTLED_STATUSES
    }
