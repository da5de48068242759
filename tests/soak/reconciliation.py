"""Compare the clients' results with the proxy's log and the request counts. Pure functions.

A client knows how its request ended, with one exception: a client that disconnected can't know
whether the proxy had finished the request by then. For those the log decides, so that the counts
can be compared exactly.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """How a request ended for its client. The values are those of the metrics' label ``status``.

    ``BROKEN`` isn't one of them: the response had no proper end, which is always a fault.
    """

    SUCCESS = "success"
    CLIENT_ERROR = "client_error"
    ERROR = "error"
    CANCELLED = "cancelled"
    BROKEN = "broken"


# Requests by the metrics' labels ``endpoint`` and ``status``.
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Result:
    """One request as its client saw it.

    Attributes:
        request_id: Sent as ``X-Request-ID``.
        endpoint: The metrics' label for its path.
        status: How it ended.
        note: Error message or finish reason, for the report.
        began: When it was sent, in seconds of the monotonic clock.
        ended: When it was over.
    """

    request_id: str
    endpoint: str
    status: Status
    note: str = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class LogEntry:
    """One finished request in the proxy's log."""

    request_id: str
    endpoint: str
    status: str


@dataclass(frozen=True)
class Reconciliation:
    """The clients' results compared with the log.

    Attributes:
        counts: Requests by endpoint and status. The log decides for clients that disconnected.
        not_logged: Requests that are missing in the log.
        logged_twice: Ids of requests that the log has more than once.
        not_sent: Requests in the log that no client sent.
        mismatched: Requests with another endpoint or status in the log.
        finished_first: Number of requests that the proxy finished before the client disconnected.
    """

    counts: Counts
    not_logged: list[Result]
    logged_twice: list[str]
    not_sent: list[LogEntry]
    mismatched: list[tuple[Result, LogEntry]]
    finished_first: int


def read_log(lines: Iterable[str]) -> list[LogEntry]:
    """Return the finished requests in the proxy's log."""
    found: list[LogEntry] = []
    for line in lines:
        if '"event":"request_finished"' in line:
            entry: Mapping[str, str] = json.loads(line)
            found.append(LogEntry(entry["request_id"], entry["endpoint"], entry["status"]))
    return found


def reconcile(results: Iterable[Result], log: Iterable[LogEntry]) -> Reconciliation:
    """Compare each result with the log."""
    logged: dict[str, LogEntry] = {}
    logged_twice: list[str] = []
    for entry in log:
        if entry.request_id in logged:
            logged_twice.append(entry.request_id)
        logged[entry.request_id] = entry
    counts: Counts = Counter()
    not_logged: list[Result] = []
    mismatched: list[tuple[Result, LogEntry]] = []
    finished_first = 0
    for result in results:
        found = logged.pop(result.request_id, None)
        if found is None:
            not_logged.append(result)
            continue
        status = result.status.value
        if result.status is Status.CANCELLED:
            finished_first += found.status != status
            status = found.status
        if (found.endpoint, found.status) != (result.endpoint, status):
            mismatched.append((result, found))
        counts[result.endpoint, status] += 1
    return Reconciliation(
        counts, not_logged, logged_twice, [*logged.values()], mismatched, finished_first
    )


def differences(expected: Counts, found: Counts) -> list[str]:
    """Describe each endpoint and status whose count differs."""
    return [
        f"{' '.join(key)}: {expected[key]} sent, {found[key]} counted"
        for key in sorted({*expected, *found})
        if expected[key] != found[key]
    ]


METRIC_STATUSES: Final = tuple(status.value for status in Status if status is not Status.BROKEN)


def by_status(counts: Counts) -> dict[str, int]:
    """Return the requests by status, summed over the endpoints."""
    return {
        status: sum(count for (_, found), count in counts.items() if found == status)
        for status in METRIC_STATUSES
    }
