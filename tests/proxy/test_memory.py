"""Giving freed memory back to the system."""

import pytest

from proxy_service.memory import PAUSE_SECONDS, WORTHWHILE_BYTES, MemoryTrimmer, memory_trimmer
from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy, eventually


def test_a_process_that_has_grown_gives_memory_back(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then, as long as it takes much more than at its start."""
    size, trims = [100], []
    trimmer = MemoryTrimmer(lambda: size[0], lambda: trims.append(size[0]))
    monkeypatch.setattr("proxy_service.app.memory_trimmer", lambda: trimmer)
    with RunningProxy(settings) as proxy:
        for grown in (WORTHWHILE_BYTES, WORTHWHILE_BYTES + 1, WORTHWHILE_BYTES + 1, 0):
            size[0] = 100 + grown
            proxy.put_forward(PAUSE_SECONDS)

        assert eventually(lambda: trims == [101 + WORTHWHILE_BYTES] * 2)


def test_trimming_works_on_this_system() -> None:
    """Or does nothing, where there is nothing to call."""
    memory_trimmer().check()
