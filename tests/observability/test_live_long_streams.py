"""A stream that lasts for many scrapes, as the panels on speed show it while it runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.observability import queries
from tests.observability.grafana import SCRAPE_INTERVAL, Screen
from tests.observability.history import History
from tests.observability.live import RunningPrometheus
from tests.observability.recorded import VARIABLES, add_scrape
from tests.observability.traffic import post_chat
from tests.proxy.running import STARTED_AT, RunningProxy, SteppedClock
from tests.proxy.scripted_engine import MODEL, ScriptedEngine, Step, delta_event, stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observability.promtool import Promtool
    from tests.proxy.running import Exposition

TOKENS_PER_SECOND: Final = 4
SECONDS: Final = 300
AT_ONCE: Final = TOKENS_PER_SECOND * SCRAPE_INTERVAL


def test_the_speed_of_a_stream_is_right_from_its_first_minute_to_its_last(
    tmp_path: Path, promtool: Promtool
) -> None:
    """Five minutes at four tokens per second, none of which is the stream's end."""
    history = History()
    scrapes = SECONDS // SCRAPE_INTERVAL
    begin = STARTED_AT + 60
    for number, scrape in enumerate(_scrapes(scrapes)):
        add_scrape(history, scrape, begin + number * SCRAPE_INTERVAL)
    history.store(promtool, tmp_path)
    panels = queries.by_title()
    with RunningPrometheus(tmp_path) as prometheus:
        screen = Screen(
            prometheus=prometheus,
            now=begin + SECONDS,
            range_seconds=1800,
            variables=VARIABLES,
        )
        speed = screen.graph(panels["Tokens per second of one request"])[MODEL]
        output = screen.graph(panels["Output tokens per second by model"])[MODEL]
    assert len(speed) >= scrapes - 4
    assert list(speed.values()) == pytest.approx([TOKENS_PER_SECOND] * len(speed), rel=0.05)
    assert list(output.values())[5:] == pytest.approx(
        [TOKENS_PER_SECOND] * len(list(output)[5:]), rel=0.05
    )


def _scrapes(number: int) -> list[Exposition]:
    """Return a proxy's scrapes: one before the stream's first token, and one after each part."""
    clock = SteppedClock()
    parts = [threading.Event() for _ in range(number)]
    deltas = b"".join([delta_event("x")] * AT_ONCE)
    steps = [step for part in parts for step in (part, deltas)]
    with ScriptedEngine() as engine:
        engine.chat(stream(delta_event("x"), *steps, Step.STALL))
        proxy = RunningProxy(ProxySettings(engine_url=engine.url))
        proxy.clock = clock
        with proxy:
            assert proxy.counted("mistral_upstream_up", 1)
            scrapes = []
            with post_chat(proxy.port):
                for done, part in enumerate([*parts, None]):
                    tokens = 1 + done * AT_ONCE
                    assert proxy.counted("mistral_generate_tokens_total", tokens, model=MODEL)
                    scrapes.append(proxy.scrape())
                    if part is not None:
                        clock.ahead_seconds += SCRAPE_INTERVAL
                        part.set()
    return scrapes
