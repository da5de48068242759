"""Settings as the program reads them from Pulumi."""

import json
from typing import Any

import pulumi
import pytest

from infra.settings.reading import load
from infra.settings.schema import Settings
from tests.infra import pulumi_mocks
from tests.infra.settings.loading import Load


@pytest.fixture(name="loaded")
def _loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    def load_these(values: dict[str, Any], *, encrypted: bool = True) -> Settings:
        config = {f"frontier:{name}": str(value) for name, value in values.items()}
        pulumi_mocks.start()
        pulumi_mocks.finish()
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([*config] if encrypted else []))
        return load(pulumi.Config("frontier"))

    return load_these
