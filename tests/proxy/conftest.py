"""A scripted engine, and the real proxy in front of it, new for each test."""

from collections.abc import Iterator

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import ScriptedEngine


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as running:
        yield running


@pytest.fixture
def settings(engine: ScriptedEngine) -> ProxySettings:
    return ProxySettings(
        engine_url=engine.url,
        engine_connect_timeout_seconds=2,
        engine_silence_timeout_seconds=10,
    )


@pytest.fixture
def proxy(settings: ProxySettings) -> Iterator[RunningProxy]:
    with RunningProxy(settings) as running:
        yield running
