"""What the panels show when nothing is known, in an outage, after a restart, and when all fails.

A Prometheus has three hours of samples: none at first, then those of a proxy that does well, fails,
is gone for ten minutes and starts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from alerts.recordings import recordings
from dashboards.signals import DOWN, FAILING, NO_NUMBER, UP
from monitoring.names import JOB, TARGET_LABELS
from monitoring.thresholds import Thresholds
from tests.observability import queries
from tests.observability.grafana import SCRAPE_INTERVAL, Screen
from tests.observability.history import History
from tests.observability.live import RunningPrometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.observability.promtool import Promtool

# Minutes since the beginning of the time that a test may look at.
HEALTHY: Final = 60
FAILING_ENGINE: Final = 90
OVERLOADED: Final = 110
ENGINE_LOST: Final = 130
GONE: Final = 140
STARTED_AGAIN: Final = 150
OVER: Final = 180

BEGINNING: Final = 1_700_000_000 - 1_700_000_000 % 3600
VARIABLES: Final = {"job": JOB, "instance": "proxy:11434", "endpoint": "chat", "model": "m"}
PROXY: Final = {"job": JOB, "instance": VARIABLES["instance"], **TARGET_LABELS}
PANELS: Final = queries.by_title()

# One request per second, at every time, of which some fail.
FAILED_OF_TEN: Final = {FAILING_ENGINE: 6, OVERLOADED: 7, ENGINE_LOST: 10}
# Seconds within which a failed and a successful request end.
FAST, SLOW = 0.01, 2.5


class Screens:
    """The dashboard at any minute, with the hour before it."""

    def __init__(self, prometheus: RunningPrometheus) -> None:
        self._prometheus = prometheus

    def at(self, minute: float, *, minutes: int = 60) -> Screen:
        return Screen(
            prometheus=self._prometheus,
            now=BEGINNING + round(minute * 60),
            range_seconds=minutes * 60,
            variables=VARIABLES,
        )

    def shown(self, title: str, *, at: float, minutes: int = 60) -> dict[str, float]:
        return self.at(at, minutes=minutes).shown(PANELS[title])

    def graph(self, title: str, *, at: float) -> dict[str, dict[int, float]]:
        return self.at(at).graph(PANELS[title])


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory, promtool: Promtool) -> Iterator[Screens]:
    folder = tmp_path_factory.mktemp("prometheus")
    history = History()
    failed = total = engines = 0
    for minute in [at / 4 for at in range(HEALTHY * 4, OVER * 4)]:
        at = BEGINNING + round(minute * 60)
        if minute == STARTED_AGAIN:
            failed = total = engines = 0
        gone = GONE <= minute < STARTED_AGAIN
        history.add("up", PROXY, 0 if gone else 1, at=at)
        _add_rules(history, at, gone=gone)
        if gone:
            continue
        phase = max((start for start in FAILED_OF_TEN if minute >= start), default=HEALTHY)
        of_ten = 0 if minute >= STARTED_AGAIN else FAILED_OF_TEN.get(phase, 0)
        total += SCRAPE_INTERVAL
        failed += SCRAPE_INTERVAL * of_ten // 10 if of_ten < 10 else SCRAPE_INTERVAL
        engines += 0 if phase == OVERLOADED else SCRAPE_INTERVAL * of_ten // 10
        restarted = minute >= STARTED_AGAIN
        _add_proxy(history, at, total, failed, engines)
        history.add("mistral_upstream_up", PROXY, 0 if minute >= ENGINE_LOST else 1, at=at)
        seen = 0 if restarted else min(at, BEGINNING + ENGINE_LOST * 60) - 4
        history.add("mistral_upstream_last_success_timestamp_seconds", PROXY, seen, at=at)
        started = BEGINNING + (STARTED_AGAIN if restarted else HEALTHY) * 60 - 7
        history.add("mistral_start_time_seconds", PROXY, started, at=at)
    history.store(promtool, folder)
    with RunningPrometheus(folder) as prometheus:
        yield Screens(prometheus)


def _add_proxy(history: History, at: int, total: int, failed: int, engines: int) -> None:
    """Add the proxy's metrics after so many requests; ``engines`` failed because of the engine."""
    chat = {**PROXY, "endpoint": "chat"}
    requests = {"success": total - failed, "error": failed}
    for status, count in requests.items():
        history.add("mistral_http_requests_total", {**chat, "status": status}, count, at=at)
    # Programs that list the models all the time.
    tags = {**PROXY, "endpoint": "tags", "status": "success"}
    history.add("mistral_http_requests_total", tags, 20 * total, at=at)
    for error_type, count in (("upstream_status", engines), ("overloaded", failed - engines)):
        labels = {**chat, "error_type": error_type}
        history.add("mistral_request_errors_total", labels, count, at=at)
    for le, count in ((FAST, failed), (SLOW, total), ("+Inf", total)):
        labels = {**chat, "le": str(le)}
        history.add("mistral_request_wait_seconds_bucket", labels, count, at=at)


def _add_rules(history: History, at: int, *, gone: bool) -> None:
    recorded = recordings(Thresholds())[0].name
    if not gone:
        history.add(recorded, {"job": JOB}, 1, at=at)
        return
    labels = {"alertname": "MistralDown", "service": "mistral", "alertstate": "firing"}
    history.add("ALERTS", labels, 1, at=at)


@pytest.mark.parametrize(
    ("minute", "proxy", "engine", "latency"),
    [
        (HEALTHY - 1, {}, {}, {}),
        (HEALTHY + 20, UP, UP, pytest.approx(2.37, rel=0.01)),
        # Most requests fail, fast: they don't make the latency good.
        (FAILING_ENGINE + 15, FAILING, FAILING, NO_NUMBER),
        (OVERLOADED + 15, FAILING, UP, NO_NUMBER),
        (ENGINE_LOST + 8, FAILING, DOWN, NO_NUMBER),
        (GONE + 9, DOWN, {}, {}),
        # Once more, but the engine hasn't answered yet.
        (STARTED_AGAIN + 10, UP, DOWN, NO_NUMBER),
    ],
)
def test_states(
    screens: Screens, minute: float, proxy: object, engine: object, latency: object
) -> None:
    for title, name, expected in (
        ("Proxy", "Proxy", proxy),
        ("Engine", "Engine", engine),
        ("p95 latency", "p95", latency),
    ):
        wanted = expected if expected == {} else {name: expected}
        assert screens.shown(title, at=minute) == wanted, title


def test_a_proxy_that_is_not_among_the_targets_is_down(
    tmp_path_factory: pytest.TempPathFactory, promtool: Promtool
) -> None:
    folder = tmp_path_factory.mktemp("another")
    history = History()
    for at in range(BEGINNING, BEGINNING + 60, SCRAPE_INTERVAL):
        history.add("up", {"job": "another"}, 1, at=at)
    history.store(promtool, folder)
    with RunningPrometheus(folder) as prometheus:
        assert Screens(prometheus).shown("Proxy", at=1) == {"Proxy": DOWN}
        assert Screens(prometheus).shown("Firing alerts", at=1) == {}


def test_before_there_were_samples_the_alerts_are_unknown_not_quiet(screens: Screens) -> None:
    graph = screens.graph("Alerts", at=GONE + 5)
    first = {name: (min(points) - BEGINNING) // 60 for name, points in graph.items()}
    assert first == {"no alerts": HEALTHY + 20 + 5, "MistralDown": GONE}
    assert screens.graph("Alerts", at=HEALTHY - 1) == {}
    assert min(screens.graph("Alerts", at=HEALTHY + 5)["no alerts"]) == BEGINNING + HEALTHY * 60


@pytest.mark.parametrize(
    ("minute", "firing"),
    [(HEALTHY - 1, {}), (HEALTHY + 5, {"Firing": 0}), (GONE + 5, {"Firing": 1})],
)
def test_firing_alerts(screens: Screens, minute: float, firing: dict[str, float]) -> None:
    assert screens.shown("Firing alerts", at=minute) == firing


@pytest.mark.parametrize(
    ("minute", "minutes", "left"),
    [
        (HEALTHY + 0.25, 60, {}),  # too few requests to judge
        (FAILING_ENGINE - 1, 30, {"left": 1}),
        (FAILING_ENGINE, 30, pytest.approx({"left": 0.5}, rel=0.02)),  # 9 of 1,800 failed
        (FAILING_ENGINE + 1, 30, {"left": 0}),  # 2 % have failed, twice what is allowed
        (OVERLOADED, 30, {"left": 0}),
    ],
)
def test_the_error_budget_is_between_all_and_none(
    screens: Screens, minute: float, minutes: int, left: object
) -> None:
    assert screens.shown("Error budget left", at=minute, minutes=minutes) == left


def test_whole_numbers_are_exact(screens: Screens) -> None:
    """One request per second, from the first sample on."""
    assert screens.shown("Requests", at=HEALTHY + 10) == {"Requests": 10 * 60}


def test_a_proxy_that_started_again_after_an_outage_is_marked_at_its_start(
    screens: Screens,
) -> None:
    assert _starts(screens, at=OVER, minutes=120) == [HEALTHY * 60 - 7, STARTED_AGAIN * 60 - 7]


def _starts(screens: Screens, *, at: int, minutes: int) -> list[int]:
    """Return when Grafana marks a start, in seconds after the beginning."""
    (annotation,) = (
        one for one in queries.dashboard()["annotations"]["list"] if one["name"] == "Proxy starts"
    )
    assert annotation["useValueForTime"]
    target = {**annotation["target"], "legendFormat": "started"}
    panel: dict[str, Any] = {"targets": [target]}
    values = set(screens.at(at, minutes=minutes).graph(panel)["started"].values())
    return sorted(round(value / 1000) - BEGINNING for value in values)


def test_the_engines_last_reply(screens: Screens) -> None:
    title = "Engine's last reply"
    assert screens.shown(title, at=HEALTHY - 1) == {}
    assert screens.shown(title, at=HEALTHY + 5) == {"ago": 4}
    assert screens.shown(title, at=ENGINE_LOST + 5) == {"ago": 5 * 60 + 4}
    assert screens.shown(title, at=STARTED_AGAIN + 5) == {"ago": NO_NUMBER}


def test_how_often_the_engine_was_lost(screens: Screens) -> None:
    assert screens.shown("Engine's restarts", at=ENGINE_LOST - 1) == {"lost": 0}
    assert screens.shown("Engine's restarts", at=ENGINE_LOST + 5) == {"lost": 1}


def test_a_graph_keeps_what_was_used_in_the_time_shown_and_only_that(screens: Screens) -> None:
    """At every time of the graph, also before the first and long after the last use."""
    used = screens.graph("Errors by type", at=OVERLOADED + 15)
    assert used.keys() == {"upstream_status", "overloaded"}
    assert min(used["overloaded"]) == min(used["upstream_status"]) <= BEGINNING + 66 * 60
    assert max(used["overloaded"]) == max(used["upstream_status"])
    before = screens.graph("Errors by type", at=OVERLOADED - 1)
    assert before.keys() == {"upstream_status"}
