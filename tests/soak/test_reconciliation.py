"""Comparing the clients' results with the proxy's log and counts."""

import json
from collections import Counter

import pytest

from tests.soak.reconciliation import (
    Counts,
    LogEntry,
    Result,
    Status,
    by_status,
    differences,
    read_log,
    reconcile,
)


def result(request_id: str, status: Status) -> Result:
    return Result(request_id, "chat", status)


def logged(request_id: str, status: str) -> LogEntry:
    return LogEntry(request_id, "chat", status)


def test_results_and_a_log_that_agree_leave_nothing_open() -> None:
    results = [
        result("a", Status.SUCCESS),
        result("b", Status.CLIENT_ERROR),
        result("c", Status.CANCELLED),
    ]
    log = [logged("c", "cancelled"), logged("a", "success"), logged("b", "client_error")]

    reconciliation = reconcile(results, log)

    assert by_status(reconciliation.counts) == {
        "success": 1,
        "client_error": 1,
        "error": 0,
        "cancelled": 1,
    }
    assert (reconciliation.not_logged, reconciliation.logged_twice) == ([], [])
    assert reconciliation.not_sent == []
    assert (reconciliation.mismatched, reconciliation.finished_first) == ([], 0)


def test_the_log_decides_how_the_request_of_a_disconnected_client_ended() -> None:
    """The client can't know whether its response was complete by then."""
    reconciliation = reconcile([result("a", Status.CANCELLED)], [logged("a", "success")])

    assert reconciliation.counts == {("chat", "success"): 1}
    assert (reconciliation.mismatched, reconciliation.finished_first) == ([], 1)


def test_a_request_that_the_proxy_lost_is_found() -> None:
    lost = result("a", Status.SUCCESS)
    assert reconcile([lost], []).not_logged == [lost]


def test_a_request_that_was_logged_twice_is_found() -> None:
    log = [logged("a", "success"), logged("a", "success")]
    assert reconcile([result("a", Status.SUCCESS)], log).logged_twice == ["a"]


def test_a_request_that_no_client_sent_is_found() -> None:
    not_sent = logged("x", "success")
    assert reconcile([], [not_sent]).not_sent == [not_sent]


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.ERROR, Status.BROKEN])
def test_a_request_with_another_status_in_the_log_is_found(status: Status) -> None:
    mine, its = result("a", status), logged("a", "cancelled")
    assert reconcile([mine], [its]).mismatched == [(mine, its)]


def test_each_difference_between_two_counts_is_named() -> None:
    expected: Counts = Counter({("chat", "success"): 2, ("chat", "error"): 1})
    found: Counts = Counter({("chat", "success"): 3, ("chat", "error"): 1})

    assert differences(expected, found) == ["chat success: 2 sent, 3 counted"]
    assert differences(expected, expected) == []


def test_only_finished_requests_are_read_from_the_log() -> None:
    line = {
        "level": "info",
        "event": "request_finished",
        "request_id": "a",
        "endpoint": "chat",
        "status": "success",
    }
    other = {"level": "warning", "event": "engine_lost"}
    lines = [json.dumps(value, separators=(",", ":")) for value in (other, line)]

    assert read_log(lines) == [logged("a", "success")]
