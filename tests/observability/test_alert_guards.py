"""Each pair of alerts of which one silences the other: when it does, and when it must not.

A guard may silence only what the other alert really tells. MistralDown and
MistralEngineUnreachable silence all others for their proxy: `test_alert_behaviour.py` has that
for one proxy, `test_alert_scenarios.py` for several.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.observability.scenarios import (
    ERROR_RATE,
    FAST_BURN,
    HIGH_LATENCY,
    SLOW_BURN,
    SLOW_FIRST_TOKEN,
    VERY_HIGH_LATENCY,
    Scenario,
    check,
    one,
)
from tests.observability.simulated_proxy import Clients

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observability.promtool import Promtool


class Pair(NamedTuple):
    """A guard: both alerts have a reason, or the one that silences doesn't fire."""

    silenced: str
    by: str
    both: Scenario
    alone: Scenario


def turns(*kinds: Clients, seconds: int, until: int) -> list[Clients]:
    """Return clients of several kinds that take turns of the same length."""
    return [
        dataclasses.replace(kinds[number % len(kinds)], start=start, stop=start + seconds)
        for number, start in enumerate(range(0, until, seconds))
    ]


CHATS = Clients(count=8, wait=0.3, tokens=40)
ONE_OF_12_FAILS = dataclasses.replace(CHATS, fails_every=12)
ONE_OF_40_FAILS = dataclasses.replace(CHATS, fails_every=40)
WAITING_7_S = dataclasses.replace(CHATS, wait=7)
WAITING_12_S = dataclasses.replace(CHATS, wait=12)
# So many that hardly one request in twenty is another one.
POLLS = Clients(count=40, wait=0.01, endpoint="ps")

PAIRS = {
    "high latency by very high latency": Pair(
        HIGH_LATENCY,
        VERY_HIGH_LATENCY,
        both=Scenario(proxies=one(WAITING_12_S), must={VERY_HIGH_LATENCY: 8}),
        alone=Scenario(proxies=one(WAITING_7_S), must={HIGH_LATENCY: 12}),
    ),
    "late first tokens by very high latency": Pair(
        SLOW_FIRST_TOKEN,
        VERY_HIGH_LATENCY,
        both=Scenario(proxies=one(WAITING_12_S), must={VERY_HIGH_LATENCY: 8}),
        alone=Scenario(proxies=one(WAITING_12_S, POLLS), must={SLOW_FIRST_TOKEN: 12}),
    ),
    "late first tokens by high latency": Pair(
        SLOW_FIRST_TOKEN,
        HIGH_LATENCY,
        both=Scenario(proxies=one(WAITING_7_S), must={HIGH_LATENCY: 12}),
        alone=Scenario(proxies=one(WAITING_7_S, POLLS), must={SLOW_FIRST_TOKEN: 12}),
    ),
    "late first tokens by a high latency that never lasts": Pair(
        SLOW_FIRST_TOKEN,
        HIGH_LATENCY,
        both=Scenario(proxies=one(WAITING_7_S), must={HIGH_LATENCY: 12}),
        # Polls that come and go move the percentile of all requests, not that of the model.
        alone=Scenario(
            proxies=one(
                WAITING_7_S,
                *turns(POLLS, Clients(wait=1, endpoint="ps"), seconds=270, until=2400),
            ),
            minutes=40,
            must={SLOW_FIRST_TOKEN: 12},
        ),
    ),
    "the slow burn by the error rate": Pair(
        SLOW_BURN,
        ERROR_RATE,
        both=Scenario(proxies=one(ONE_OF_12_FAILS), minutes=40, must={ERROR_RATE: 12}),
        alone=Scenario(
            proxies=one(ONE_OF_40_FAILS),
            availability_objective=0.995,
            minutes=40,
            must={SLOW_BURN: 20},
        ),
    ),
    "the slow burn by an error rate that never lasts": Pair(
        SLOW_BURN,
        ERROR_RATE,
        both=Scenario(proxies=one(ONE_OF_12_FAILS), minutes=40, must={ERROR_RATE: 12}),
        # It swings around 5 %.
        alone=Scenario(
            proxies=one(*turns(ONE_OF_40_FAILS, ONE_OF_12_FAILS, seconds=200, until=3600)),
            minutes=60,
            must={SLOW_BURN: 50},
        ),
    ),
    "the slow burn by an error rate of too few requests": Pair(
        SLOW_BURN,
        ERROR_RATE,
        both=Scenario(proxies=one(ONE_OF_12_FAILS), minutes=40, must={ERROR_RATE: 12}),
        # Thirteen requests within a minute, every eight minutes, of which one fails.
        alone=Scenario(
            proxies=one(
                *(
                    Clients(
                        wait=0.3,
                        tokens=40,
                        pause=3.7,
                        start=480 * number,
                        stop=480 * number + 60,
                        fails_every=12,
                    )
                    for number in range(13)
                )
            ),
            minutes=100,
            must={SLOW_BURN: 95},
        ),
    ),
    "the slow burn by the fast burn": Pair(
        SLOW_BURN,
        FAST_BURN,
        both=Scenario(
            proxies=one(ONE_OF_40_FAILS),
            availability_objective=0.999,
            minutes=40,
            must={FAST_BURN: 12},
        ),
        # Ninety requests an hour are too few for the fast burn.
        alone=Scenario(
            proxies=one(Clients(wait=0.3, tokens=40, pause=38, fails_every=20)),
            availability_objective=0.999,
            minutes=120,
            must={SLOW_BURN: 118},
        ),
    ),
}

every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=list(PAIRS))


@every_pair
def test_one_fault_is_told_once(promtool: Promtool, tmp_path: Path, pair: Pair) -> None:
    assert pair.silenced not in pair.both.must
    assert pair.by in pair.both.must
    check(promtool, tmp_path, pair.both)


@every_pair
def test_an_alert_that_does_not_fire_silences_nothing(
    promtool: Promtool, tmp_path: Path, pair: Pair
) -> None:
    assert pair.silenced in pair.alone.must
    assert pair.by not in pair.alone.must
    check(promtool, tmp_path, pair.alone)
