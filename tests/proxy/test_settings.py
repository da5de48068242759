"""Settings from the environment."""

import pytest

from proxy_service.settings import (
    DEFAULT_PORT,
    VARIABLES,
    BindAddress,
    ModelDetails,
    ProxySettings,
    SettingsError,
)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = ProxySettings.from_environ({})

    assert settings == ProxySettings()
    assert settings.bind.port == DEFAULT_PORT == 11434


def test_every_variable_fills_a_field_of_its_own() -> None:
    attributes = [variable.attribute for variable in VARIABLES]

    assert sorted(attributes) == sorted(ProxySettings.__slots__)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", BindAddress("127.0.0.1", 80)),
        ("[::1]:80", BindAddress("::1", 80)),
        ("0.0.0.0:0", BindAddress("0.0.0.0", 0)),
        (":11434", BindAddress("0.0.0.0", 11434)),
        ("localhost:1", BindAddress("localhost", 1)),
    ],
)
def test_bind_addresses_are_host_and_port(text: str, address: BindAddress) -> None:
    assert ProxySettings.from_environ({"BIND_ADDRESS": text}).bind == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIND_ADDRESS", "11434"),
        ("BIND_ADDRESS", "::1:80"),
        ("BIND_ADDRESS", "localhost:99999"),
        ("BIND_ADDRESS", "localhost:-1"),
        ("MISTRAL_URL", "127.0.0.1:8080"),
        ("MISTRAL_URL", "http://"),
        ("MISTRAL_URL", "http://x:99999"),
        ("MISTRAL_URL", "http://x?a=b"),
        ("LOG_LEVEL", "verbose"),
        ("ENGINE_CONNECT_TIMEOUT", "0"),
        ("ENGINE_SILENCE_TIMEOUT", "soon"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("MAX_QUEUED_REQUESTS", "many"),
        ("ENGINE_SILENCE_TIMEOUT", "nan"),
        ("MODEL_ALIASES", "a="),
        ("MODEL_ALIASES", "a"),
        ("MODEL_DETAILS", "["),
        ("MODEL_DETAILS", "[]"),
        ("MODEL_DETAILS", '{"m": {"colour": "red"}}'),
        ("MODEL_DETAILS", '{"m": {"context_length": "long"}}'),
        ("MODEL_DETAILS", '{"m": {"context_length": -1}}'),
        ("MODEL_DETAILS", '{"m": {"capabilities": "tools"}}'),
        ("MODEL_UNLOAD", "maybe"),
        ("MAX_BODY_MIB", "0"),
        ("OLLAMA_VERSION", "latest"),
    ],
)
def test_an_unusable_value_is_refused_by_name_and_range(name: str, value: str) -> None:
    accepts = next(variable.accepts for variable in VARIABLES if variable.name == name)

    with pytest.raises(SettingsError) as raised:
        ProxySettings.from_environ({name: value})

    assert name in str(raised.value)
    assert accepts in str(raised.value)


def test_aliases_and_details_are_tables() -> None:
    settings = ProxySettings.from_environ(
        {
            "MODEL_ALIASES": "llama3=org/Llama, gemma = google/gemma",
            "MODEL_DETAILS": '{"org/Llama": {"family": "llama", "capabilities": ["completion"]}}',
        }
    )

    assert settings.model_aliases == {"llama3": "org/Llama", "gemma": "google/gemma"}
    assert settings.model_details == {
        "org/Llama": ModelDetails(family="llama", capabilities=("completion",))
    }
