"""What fires in ordinary traffic (mostly nothing) and what a fault must fire."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pytest

from tests.observability.promtool import ALERTS, grafana_as_rules
from tests.observability.scenarios import (
    ACTIVE,
    DOWN,
    ERROR_RATE,
    FAST_BURN,
    HIGH_LATENCY,
    HOUR,
    MINUTE,
    NO_REQUESTS,
    SLOW_BURN,
    SLOW_FIRST_TOKEN,
    SLOW_GENERATION,
    UNREACHABLE,
    VERY_HIGH_LATENCY,
    Scenario,
    check_all,
    one,
)
from tests.observability.simulated_proxy import Clients, SimulatedProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observability.promtool import Promtool

A, B, C = "a:11434", "b:11434", "c:11434"

SHORT_CHATS = Clients(count=4, wait=0.3, tokens=80, pause=2)
UI_POLLS = Clients(count=1, wait=0.01, pause=5, endpoint="tags")
AGENTS = Clients(count=8, wait=0.3, tokens=2000)

HEALTHY: dict[str, Scenario] = {
    "short chats": Scenario(proxies=one(SHORT_CHATS, UI_POLLS)),
    "agents with answers of 2,000 tokens": Scenario(proxies=one(AGENTS)),
    "agents that don't stream": Scenario(
        proxies=one(Clients(count=8, wait=0.5, tokens=2000, streamed=False))
    ),
    "eight clients with answers of 1,200 tokens": Scenario(
        proxies=one(Clients(count=8, wait=0.3, tokens=1200, tokens_per_second=40, pause=0.1))
    ),
    "answers of ten minutes at a reader's pace": Scenario(
        proxies=one(Clients(count=8, wait=2, tokens=3000, tokens_per_second=5)), minutes=40
    ),
    "a batch of embeddings": Scenario(
        proxies=one(Clients(count=32, wait=1.5, pause=0, endpoint="embed", stop=900))
    ),
    "one user an hour": Scenario(
        proxies=one(Clients(wait=20, tokens=300, pause=HOUR), UI_POLLS),
        minutes=125,
    ),
    "an idle night": Scenario(
        proxies=one(Clients(count=4, wait=0.3, tokens=80, pause=2, stop=20 * MINUTE)),
        minutes=5 * 60,
        may=(NO_REQUESTS,),
        evaluated_every=300,
    ),
    "a slow laptop at 4 tokens a second": Scenario(
        proxies=one(Clients(wait=3, tokens=300, tokens_per_second=4)), minutes=30
    ),
    "two models, one of which is slow to load once": Scenario(
        proxies=one(
            SHORT_CHATS,
            Clients(wait=90, tokens=200, model="big", stop=1),
            Clients(start=120, wait=1, tokens=200, model="big"),
        )
    ),
    "a restart": Scenario(proxies=one(SHORT_CHATS, runs=((-HOUR, 600), (620, math.inf)))),
    "a restart in the middle of long answers": Scenario(
        proxies=one(AGENTS, runs=((-HOUR, 600), (620, math.inf)))
    ),
    "a proxy that is started anew every five minutes": Scenario(
        proxies=one(SHORT_CHATS, runs=[(300 * n, 300 * n + 290) for n in range(8)]), minutes=30
    ),
    "an engine that loads for ten minutes": Scenario(
        proxies=one(SHORT_CHATS, UI_POLLS, runs=((0, math.inf),), engine_down=((0, 10 * MINUTE),)),
        minutes=60,
    ),
    "an engine that is gone for ten seconds": Scenario(
        proxies=one(Clients(count=8, wait=0.3, tokens=200), engine_down=((600, 610),))
    ),
    "users who close the window": Scenario(
        proxies=one(
            Clients(count=8, wait=1, tokens=200, pause=3, fails_every=2, failure="cancelled")
        )
    ),
    "a flood of bad requests": Scenario(
        proxies=one(
            SHORT_CHATS,
            Clients(count=10, wait=0.01, pause=0.5, fails_every=1, failure="client_error"),
        ),
        minutes=15,
    ),
    "two proxies of which one gets no traffic": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS]),
            SimulatedProxy(instance=B),
        ]
    ),
    "a proxy that is taken away while another stays": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS]),
            SimulatedProxy(instance=B, clients=[SHORT_CHATS], is_target=(0, 600)),
        ]
    ),
}

FAILING = Clients(count=8, wait=0.3, tokens=40, fails_every=5)
# From 10 minutes on; before, everything is well.
WELL = Clients(count=4, wait=0.3, tokens=80, pause=2, stop=600)
LATE = Clients(count=8, start=600, wait=20, tokens=100)

FAULTS: dict[str, Scenario] = {
    "the proxy dies": Scenario(
        proxies=one(Clients(count=60, wait=12, tokens=40), FAILING, runs=((-HOUR, 900),)),
        minutes=25,
        must={DOWN: 18},
        may=(VERY_HIGH_LATENCY, ACTIVE, ERROR_RATE, FAST_BURN),
    ),
    "the proxy's job loses its target": Scenario(
        proxies=one(SHORT_CHATS, is_target=(0, 600)), minutes=18, must={(DOWN, ""): 13}
    ),
    "the engine dies": Scenario(
        proxies=one(SHORT_CHATS, UI_POLLS, engine_down=((600, math.inf),)),
        minutes=30,
        must={UNREACHABLE: 14},
    ),
    "the engine is dead for twenty minutes": Scenario(
        proxies=one(SHORT_CHATS, engine_down=((600, 1800),)), minutes=60, must={UNREACHABLE: 14}
    ),
    "the engine never answers": Scenario(
        proxies=one(SHORT_CHATS, runs=((0, math.inf),), engine_down=((0, math.inf),)),
        minutes=36,
        must={UNREACHABLE: 35},
    ),
    "the engine dies again and again for a minute": Scenario(
        proxies=one(SHORT_CHATS, engine_down=[(120 * n, 120 * n + 60) for n in range(60)]),
        minutes=40,
        must={ERROR_RATE: 12, FAST_BURN: 30},
    ),
    "the first token comes after 20 s": Scenario(
        proxies=one(WELL, LATE), minutes=25, must={VERY_HIGH_LATENCY: 16}
    ),
    "the first token comes after 7 s": Scenario(
        proxies=one(Clients(count=8, wait=7, tokens=100)), minutes=25, must={HIGH_LATENCY: 12}
    ),
    "whole replies that wait for 20 s": Scenario(
        proxies=one(Clients(count=8, wait=20, tokens=100, streamed=False)),
        minutes=25,
        must={VERY_HIGH_LATENCY: 8},
    ),
    "embeddings that take 12 s": Scenario(
        proxies=one(Clients(count=8, wait=12, endpoint="embed")), must={VERY_HIGH_LATENCY: 8}
    ),
    "the first token of one of two models comes after 20 s": Scenario(
        proxies=one(
            Clients(count=16, wait=0.3, tokens=40),
            Clients(count=1, wait=20, tokens=100, model="big"),
        ),
        minutes=25,
        must={SLOW_FIRST_TOKEN: 12},
    ),
    "late first tokens among many quick polls": Scenario(
        proxies=one(
            Clients(count=20, wait=0.01, endpoint="ps"), Clients(count=2, wait=8, tokens=80)
        ),
        minutes=25,
        must={SLOW_FIRST_TOKEN: 12},
    ),
    "one token a second": Scenario(
        proxies=one(Clients(count=4, wait=1, tokens=100, tokens_per_second=1)),
        minutes=25,
        must={SLOW_GENERATION: 15},
    ),
    "one token a second in whole replies": Scenario(
        proxies=one(Clients(count=4, wait=1, tokens=100, tokens_per_second=1, streamed=False)),
        minutes=25,
        must={SLOW_GENERATION: 15},
    ),
    "a slow model beside a quick one": Scenario(
        proxies=one(
            SHORT_CHATS,
            Clients(count=4, wait=1, tokens=100, tokens_per_second=1, model="big"),
        ),
        minutes=25,
        must={SLOW_GENERATION: 15},
    ),
    "more clients than the engine can serve": Scenario(
        proxies=one(WELL, Clients(count=60, start=600, wait=30, tokens=100)),
        minutes=25,
        must={ACTIVE: 18, VERY_HIGH_LATENCY: 16},
    ),
    "a third is refused as overloaded": Scenario(
        proxies=one(Clients(count=8, wait=0.3, tokens=40, fails_every=3)),
        must={ERROR_RATE: 12, FAST_BURN: 12},
    ),
    "a fifth fails, and everything waits": Scenario(
        proxies=one(Clients(count=8, wait=12, tokens=40, fails_every=5)),
        minutes=30,
        must={FAST_BURN: 20, ERROR_RATE: 12, VERY_HIGH_LATENCY: 8},
    ),
    "a fifth fails while text is slow": Scenario(
        proxies=one(Clients(count=16, wait=1, tokens=60, tokens_per_second=1, fails_every=5)),
        minutes=40,
        must={FAST_BURN: 35, ERROR_RATE: 12, SLOW_GENERATION: 15},
    ),
    "one in twelve fails": Scenario(
        proxies=one(Clients(count=8, wait=0.3, tokens=40, fails_every=12)),
        minutes=30,
        must={ERROR_RATE: 12},
    ),
    "one in twenty-five fails": Scenario(
        proxies=one(Clients(count=8, wait=0.3, tokens=40, fails_every=25)),
        minutes=60,
        must={SLOW_BURN: 20},
    ),
    "one in twenty-five fails, and the engine died once": Scenario(
        proxies=one(
            Clients(count=8, wait=0.3, tokens=40, fails_every=25), engine_down=((600, 1200),)
        ),
        minutes=60,
        must={UNREACHABLE: 14, SLOW_BURN: 45},
    ),
    "one of two proxies is dead while the other one's requests fail": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], runs=((-HOUR, 60),)),
            SimulatedProxy(instance=B, clients=[FAILING]),
        ],
        minutes=30,
        must={(DOWN, A): 5, (ERROR_RATE, B): 12, FAST_BURN: 15},
    ),
    "one of two proxies is dead while the other one is overloaded": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], runs=((-HOUR, 60),)),
            SimulatedProxy(instance=B, clients=[Clients(count=60, wait=30, tokens=100)]),
        ],
        must={(DOWN, A): 5, (ACTIVE, B): 10, (VERY_HIGH_LATENCY, B): 8},
    ),
    "one of two engines is dead while the other one is slow": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], engine_down=((60, math.inf),)),
            SimulatedProxy(
                instance=B, clients=[Clients(count=4, wait=1, tokens=100, tokens_per_second=1)]
            ),
        ],
        minutes=25,
        must={(UNREACHABLE, A): 6, (SLOW_GENERATION, B): 15},
    ),
    "one of two engines is dead while the other one's requests fail": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], engine_down=((60, math.inf),)),
            SimulatedProxy(instance=B, clients=[FAILING]),
        ],
        minutes=25,
        must={(UNREACHABLE, A): 6, (ERROR_RATE, B): 12, FAST_BURN: 12},
    ),
    "one dead, one without its engine, one slow": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], runs=((-HOUR, 60),)),
            SimulatedProxy(instance=B, clients=[SHORT_CHATS], engine_down=((60, math.inf),)),
            SimulatedProxy(instance=C, clients=[Clients(count=8, wait=20, tokens=100)]),
        ],
        must={(DOWN, A): 5, (UNREACHABLE, B): 6, (VERY_HIGH_LATENCY, C): 8},
    ),
    "three proxies die": Scenario(
        proxies=[
            SimulatedProxy(instance=instance, clients=[SHORT_CHATS, FAILING], runs=((-HOUR, 60),))
            for instance in (A, B, C)
        ],
        must={(DOWN, A): 5, (DOWN, B): 5, (DOWN, C): 5},
    ),
    "two proxies' job loses both targets": Scenario(
        proxies=[
            SimulatedProxy(instance=instance, clients=[SHORT_CHATS], is_target=(0, 600))
            for instance in (A, B)
        ],
        minutes=18,
        must={(DOWN, ""): 15},
    ),
    "nobody reaches the one of two proxies that is left": Scenario(
        proxies=[
            SimulatedProxy(instance=A, clients=[SHORT_CHATS], runs=((-HOUR, 60),)),
            SimulatedProxy(instance=B),
        ],
        minutes=25,
        must={(DOWN, A): 5, NO_REQUESTS: 20},
    ),
}


ALL = {**HEALTHY, **FAULTS}

IN_GRAFANA = (
    "eight clients with answers of 1,200 tokens",
    "an engine that loads for ten minutes",
    "the first token comes after 20 s",
    "one token a second",
    "a fifth fails, and everything waits",
    "one in twenty-five fails, and the engine died once",
    "one of two engines is dead while the other one's requests fail",
    "one dead, one without its engine, one slow",
    "nobody reaches the one of two proxies that is left",
)

AT_OTHER_INTERVALS = (
    "agents with answers of 2,000 tokens",
    "a slow laptop at 4 tokens a second",
    "a restart",
    "the engine dies",
    "a fifth fails, and everything waits",
    "one dead, one without its engine, one slow",
)

# A minute between two scrapes is tried on all ordinary traffic and on every alert.
A_MINUTE_APART = (
    *HEALTHY,
    *(name for name in FAULTS if name in IN_GRAFANA or name in AT_OTHER_INTERVALS),
    "the proxy dies",
    "the proxy's job loses its target",
    "the first token comes after 7 s",
    "the first token of one of two models comes after 20 s",
    "more clients than the engine can serve",
    "one in twenty-five fails",
)


def test_ordinary_traffic_fires_nothing(promtool: Promtool, tmp_path: Path) -> None:
    check_all(promtool, tmp_path, HEALTHY)


def test_a_fault_fires_what_tells_it_and_nothing_else(promtool: Promtool, tmp_path: Path) -> None:
    check_all(promtool, tmp_path, FAULTS)


def test_scrapes_a_minute_apart_tell_the_same(promtool: Promtool, tmp_path: Path) -> None:
    scenarios = {name: ALL[name] for name in A_MINUTE_APART}
    fired = {alert for scenario in scenarios.values() for alert in scenario.must}
    assert {alert if isinstance(alert, str) else alert[0] for alert in fired} == set(ALERTS)
    check_all(promtool, tmp_path, scenarios, interval=60)


def test_the_rules_of_grafana_tell_the_same(promtool: Promtool, tmp_path: Path) -> None:
    scenarios = {name: ALL[name] for name in IN_GRAFANA}
    check_all(promtool, tmp_path, scenarios, rules_of=grafana_as_rules)


@pytest.mark.parametrize("interval", [5, 30])
def test_other_scrape_intervals_tell_the_same(
    promtool: Promtool, tmp_path: Path, interval: int
) -> None:
    scenarios = {name: ALL[name] for name in AT_OTHER_INTERVALS}
    check_all(promtool, tmp_path, scenarios, interval=interval)


def test_the_failure_names_the_scenario(promtool: Promtool, tmp_path: Path) -> None:
    wrong = dataclasses.replace(HEALTHY["short chats"], must={DOWN: 5})
    with pytest.raises(AssertionError, match="nobody is down"):
        check_all(promtool, tmp_path, {"a restart": HEALTHY["a restart"], "nobody is down": wrong})
