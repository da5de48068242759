"""Settings are read in one place, with their types."""

import pytest

from infra.settings.page import GROUPS
from infra.settings.reading import SettingsError
from infra.settings.schema import SETTING_NAMES, Settings
from infra.settings.types import Secret
from tests.infra.settings.loading import DECLARED, Load
from tests.processes import ROOT


def test_declared_defaults_are_those_of_the_program(loaded: Load) -> None:
    written = {name: item["default"] for name, item in DECLARED.items()}
    assert written.keys() == SETTING_NAMES.keys()
    assert loaded(written) == Settings()


def test_only_one_module_reads_pulumis_configuration() -> None:
    readers = [
        path.name
        for path in [*ROOT.glob("infra/**/*.py")]
        if "get_config" in path.read_text(encoding="utf-8")
    ]
    assert readers == ["reading.py"]


def test_an_empty_configuration_gives_the_defaults(loaded: Load) -> None:
    assert loaded({}) == Settings()


def test_values_are_read_with_their_types(loaded: Load) -> None:
    chosen = loaded({"proxyPort": 1234, "protectData": "true", "grafanaAdminPassword": "x"})
    assert (chosen.proxy_port, chosen.protect_data) == (1234, True)
    assert chosen.grafana_admin_password == Secret("x")


# What excludes settings with which the other examples go together, with the value that allows it.
OF_THE_OFFICIAL_IMAGE = {
    *("models", "contextLength", "kvCacheMb", "kvCacheFraction", "maxSeqs", "prefixCacheSize"),
    *("seed", "chatTemplate", "loraAdapters", "engineArgs", "engineEnvironment"),
}


@pytest.mark.parametrize("name", sorted(OF_THE_OFFICIAL_IMAGE))
def test_the_documented_example_of_an_engines_option_is_a_setting_of_its_own(
    loaded: Load, name: str
) -> None:
    """They are tried one by one, since some exclude each other."""
    (example,) = (group[name] for group in GROUPS.values() if name in group)
    assert example is not None
    image = "ghcr.io/ericlbuehler/mistral.rs:cuda-sm89-0.9.4"
    chosen = loaded({name: example, "gpus": "all", "mistralrsImage": image})
    field = SETTING_NAMES[name]
    assert getattr(chosen, field) != getattr(Settings(), field)


def test_every_other_documented_example_is_a_setting_of_its_own(
    loaded: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together make a stack, and none is the default."""
    monkeypatch.setattr("infra.settings.reading.read_authorities", lambda _file: "")
    examples = {
        name: value.replace("{default}", DECLARED[name]["default"])
        for group in GROUPS.values()
        for name, value in group.items()
        if value is not None and name not in OF_THE_OFFICIAL_IMAGE
    }
    secrets = {"apiKey": "0123456789abcdef", "grafanaToken": "glsa_x", "prometheusPassword": "x"}
    chosen = loaded({**examples, **secrets})
    given = {SETTING_NAMES[name] for name in examples}
    assert {
        field for field in given if getattr(chosen, field) == getattr(Settings(), field)
    } == set()


def test_thresholds_are_set_by_name(loaded: Load) -> None:
    chosen = loaded({"alertThresholds": '{"highLatencySeconds": 7.5}'})
    assert chosen.alert_thresholds.high_latency_seconds == 7.5
    assert chosen.alert_thresholds.very_high_latency_seconds == 10


def test_a_secret_in_plain_text_is_refused(loaded: Load) -> None:
    with pytest.raises(SettingsError, match="hfToken: is stored in plain text"):
        loaded({"hfToken": "hf_x"}, encrypted=False)
