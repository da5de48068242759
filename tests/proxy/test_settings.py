"""Settings from the environment."""

from math import inf
from pathlib import Path

import pytest

from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.schema import ProxySettings, SettingsError
from proxy_service.settings.values import DEFAULT_PORT, BindAddress
from proxy_service.settings.variables import VARIABLES


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = ProxySettings.from_environ({})

    assert settings == ProxySettings()
    assert settings.bind.port == DEFAULT_PORT == 11434


def test_every_variable_sets_a_field_of_its_own() -> None:
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
    environ = {"BIND_ADDRESS": text, "ALLOW_UNAUTHENTICATED": "true"}

    assert ProxySettings.from_environ(environ).bind == address


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
        ("MISTRAL_URL", "https://x"),
        ("MISTRAL_URL", "http://x?"),
        ("MISTRAL_URL", "http://x/#"),
        ("MISTRAL_URL", "http://my host"),
        ("MISTRAL_URL", "http://my\thost"),
        ("MISTRAL_URL", "http://x:0"),
        ("MISTRAL_URL", "http://192.0.2.256"),
        ("MISTRAL_URL", "http://fd00::1:8080"),
        ("MISTRAL_URL", "http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher"),
        ("BIND_ADDRESS", "my host:80"),
        ("BIND_ADDRESS", "[box]x:80"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FORMAT", "xml"),
        ("ENGINE_CONNECT_TIMEOUT", "0"),
        ("ENGINE_SILENCE_TIMEOUT", "soon"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("MAX_QUEUED_REQUESTS", "many"),
        ("ENGINE_SILENCE_TIMEOUT", "nan"),
        ("MODEL_ALIASES", "a="),
        ("MODEL_ALIASES", "a"),
        ("MODEL_ALIASES", "=x"),
        ("MODEL_ALIASES", "a=x,a=y"),
        ("MODEL_DETAILS", "["),
        ("MODEL_DETAILS", "[]"),
        ("MODEL_DETAILS", '{"m": {"colour": "red"}}'),
        ("MODEL_DETAILS", '{"m": {"context_length": "long"}}'),
        ("MODEL_DETAILS", '{"m": {"context_length": -1}}'),
        ("MODEL_DETAILS", '{"m": {"capabilities": "tools"}}'),
        ("MODEL_UNLOAD", "maybe"),
        ("OLLAMA_KEEP_ALIVE", "5 m"),
        ("OLLAMA_KEEP_ALIVE", "1d"),
        ("OLLAMA_MAX_LOADED_MODELS", "-1"),
        ("MAX_BODY_MIB", "0"),
        ("OLLAMA_VERSION", "latest"),
        ("OLLAMA_VERSION", "\N{ARABIC-INDIC DIGIT ONE}.0.0"),
        ("OLLAMA_ORIGINS", "app.example.org"),
        ("OLLAMA_ORIGINS", "https://app.example.org/"),
        ("OLLAMA_ORIGINS", "https://app.example.org https://other.example.org"),
        ("ALLOWED_HOSTS", "https://llm.example.org"),
        ("ALLOWED_HOSTS", "llm.example.org:443"),
        ("ALLOWED_HOSTS", "*.example.org"),
        ("ALLOWED_HOSTS", "[::1]"),
        ("API_KEY", "short"),
        ("API_KEY", "0123456789abcdef, 0123456789abcde"),
        ("API_KEY", "0123456789 abcdef"),
        ("METRICS_KEY", "0123456789abcdef\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("ALLOW_UNAUTHENTICATED", "perhaps"),
    ],
)
def test_the_error_of_an_unusable_value_names_the_variable_and_its_range(
    name: str, value: str
) -> None:
    accepts = next(variable.accepts for variable in VARIABLES if variable.name == name)

    with pytest.raises(SettingsError) as raised:
        ProxySettings.from_environ({name: value})

    assert name in str(raised.value)
    assert accepts in str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("300", 300),
        ("1h30m", 5400),
        ("0", 0),
        ("-1", inf),
        ("-1s", inf),
        ("1.5h", 5400),
    ],
)
def test_a_keep_alive_is_written_as_for_ollama(text: str, seconds: float) -> None:
    settings = ProxySettings.from_environ({"OLLAMA_KEEP_ALIVE": text})

    assert settings.model_keep_alive_seconds == seconds


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MISTRAL_URL", "http://[fd00::1]:8080/"),
        ("MISTRAL_URL", "http://me:word@box/engine"),
        ("MISTRAL_URL", "http://mistral_1.svc.cluster.local.:80"),
        ("ALLOWED_HOSTS", "llm.example.org, box, 192.0.2.7, fd00::1"),
        ("ALLOWED_HOSTS", "*"),
        ("OLLAMA_ORIGINS", "*"),
        ("OLLAMA_ORIGINS", "https://*.example.org:8443, app://*, null, http://[::1]:3000"),
    ],
)
def test_values_that_look_unusual_but_can_work_are_accepted(name: str, value: str) -> None:
    assert ProxySettings.from_environ({name: value}) != ProxySettings()


def test_a_listed_host_is_compared_without_its_final_dot() -> None:
    assert ProxySettings.from_environ({"ALLOWED_HOSTS": "llm.example.org."}).hosts == (
        "llm.example.org",
    )


KEY = "0123456789abcdef"


@pytest.mark.parametrize("bind", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "box.example:0"])
def test_a_public_address_needs_a_key_or_allow_unauthenticated(bind: str) -> None:
    """The error names both."""
    with pytest.raises(SettingsError) as raised:
        ProxySettings.from_environ({"BIND_ADDRESS": bind})

    for name in ("BIND_ADDRESS", "API_KEY", "API_KEY_FILE", "ALLOW_UNAUTHENTICATED=true"):
        assert name in str(raised.value)
    assert ProxySettings.from_environ({"BIND_ADDRESS": bind, "API_KEY": KEY}).api_keys == (KEY,)
    assert ProxySettings.from_environ({"BIND_ADDRESS": bind, "ALLOW_UNAUTHENTICATED": "1"})


def test_a_key_for_metrics_alone_does_not_open_a_public_address() -> None:
    with pytest.raises(SettingsError):
        ProxySettings.from_environ({"BIND_ADDRESS": ":0", "METRICS_KEY": KEY})


def test_keys_come_from_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n{KEY[::-1]}\n", encoding="utf-8")

    settings = ProxySettings.from_environ({"API_KEY_FILE": str(file)})

    assert settings.api_keys == (KEY, KEY[::-1])


@pytest.mark.parametrize("content", [None, "", "\n", "too short", "\udcff" * 20])
def test_a_key_file_without_a_key_is_an_error(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(SettingsError, match="API_KEY_FILE"):
        ProxySettings.from_environ({"API_KEY_FILE": str(file)})


def test_a_key_and_a_file_of_keys_exclude_each_other(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY, encoding="utf-8")

    with pytest.raises(SettingsError, match="set only one of them"):
        ProxySettings.from_environ({"API_KEY": KEY, "API_KEY_FILE": str(file)})


def test_no_error_and_no_representation_shows_a_secret() -> None:
    environ = {"API_KEY": "my secret", "METRICS_KEY": KEY, "MISTRAL_URL": "ftp://me:secret@x"}
    with pytest.raises(SettingsError) as raised:
        ProxySettings.from_environ(environ)

    assert "API_KEY" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert KEY not in repr(ProxySettings(api_keys=(KEY,), metrics_keys=(KEY,)))
