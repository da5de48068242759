"""The proxy's settings reach it through the stack."""

from typing import Any

import pytest

from infra.settings.page import GROUPS
from infra.settings.reading import SettingsError
from infra.settings.schema import SETTING_NAMES, Settings
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.stack_names import STACK_SETTINGS
from proxy_service.settings.variables import VARIABLES
from tests.infra.pulumi_mocks import CONTAINER, deploy
from tests.infra.settings.loading import Load

# Variables that have no setting of the stack, with the reason.
WITHOUT_SETTING = {
    "BIND_ADDRESS": "fixed in the container; bindAddress and proxyPort say where it is published",
    "METRICS_KEY": "derived from apiKey",
}


def _environment(settings: Settings) -> dict[str, str]:
    envs = deploy(settings).inputs(CONTAINER, "proxy-container")["envs"]
    return dict(text.split("=", 1) for text in envs)


def test_every_variable_has_a_setting_of_the_stack_or_a_reason_for_none() -> None:
    names = {variable.name for variable in VARIABLES}
    assert STACK_SETTINGS.keys() | WITHOUT_SETTING.keys() == names
    assert not STACK_SETTINGS.keys() & WITHOUT_SETTING.keys()
    assert set(STACK_SETTINGS.values()) <= SETTING_NAMES.keys()
    assert len(set(STACK_SETTINGS.values())) == len(STACK_SETTINGS)


def test_by_default_the_proxy_is_as_it_is_without_settings() -> None:
    read = ProxySettings.from_environ(_environment(Settings()))
    own = ProxySettings()
    different = {
        name for name in ProxySettings.__slots__ if getattr(read, name) != getattr(own, name)
    }
    assert different == {"engine_url", "bind", "hosts", "allow_unauthenticated"}


def test_every_documented_example_reaches_the_proxy(loaded: Load) -> None:
    """The proxy reads all of them, and each changes what it does."""
    examples = {
        setting: value
        for group in GROUPS.values()
        for setting, value in group.items()
        if setting in STACK_SETTINGS.values() and value is not None
    }
    settings = loaded({**examples, "engine": "external", "mistralUrl": "http://box.example"})
    read, own = ProxySettings.from_environ(_environment(settings)), ProxySettings()
    for variable in VARIABLES:
        if STACK_SETTINGS.get(variable.name) in examples:
            assert getattr(read, variable.attribute) != getattr(own, variable.attribute)


def test_a_value_that_the_proxy_refuses_is_refused_at_preview_by_the_settings_name(
    loaded: Load,
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({"engineSilenceTimeoutSeconds": "0", "modelAliases": "a"})
    assert "engineSilenceTimeoutSeconds: '0' is not accepted; expected seconds, 0.1" in str(
        caught.value
    )
    assert "modelAliases: 'a' is not accepted; expected name=engine-id pairs" in str(caught.value)
    assert "MODEL_ALIASES" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        ({}, ("127.0.0.1", "frontier-mistral-ollama-proxy")),
        (
            {"allowed_hosts": "llm.example.org, fd00::1"},
            ("127.0.0.1", "frontier-mistral-ollama-proxy", "llm.example.org", "fd00::1"),
        ),
        ({"bind_address": "0.0.0.0"}, ()),
        (
            {"bind_address": "192.0.2.7", "allowed_hosts": "llm.example.org"},
            ("192.0.2.7", "frontier-mistral-ollama-proxy", "llm.example.org"),
        ),
    ],
)
def test_allowed_hosts_are_added_to_the_stacks_own(
    values: dict[str, Any], hosts: tuple[str, ...]
) -> None:
    """Prometheus asks for the alias, so that it stays allowed."""
    assert ProxySettings.from_environ(_environment(Settings(**values))).hosts == hosts
