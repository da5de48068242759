"""All settings of one proxy, and how they are read from the environment.

A secret can be read from a file, whose path is in the variable of the same name with ``_FILE``
added. What is in the environment itself shows in ``docker inspect`` and in every child process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.values import (
    DEFAULT_BIND,
    DEFAULT_CONCURRENT_REQUESTS,
    DEFAULT_CONNECTIONS,
    DEFAULT_ENGINE_URL,
    DEFAULT_QUEUED_REQUESTS,
    MIB,
    BindAddress,
    without_login,
)
from proxy_service.settings.variables import VARIABLES


class SettingsError(Exception):
    """One or more variables have unusable values; the text names all of them."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """All settings of one proxy process, with their defaults.

    `VARIABLES` has the environment variable of each.
    """

    engine_url: str = DEFAULT_ENGINE_URL
    bind: BindAddress = DEFAULT_BIND
    log_level: str = "info"
    log_format: str = "json"
    engine_connect_timeout_seconds: float = 5.0
    engine_silence_timeout_seconds: float = 300.0
    engine_reply_timeout_seconds: float = 3600.0
    # Below the 30 s after which the server library of Mistral.rs (hyper) may close it.
    engine_keep_alive_seconds: float = 15.0
    engine_probe_interval_seconds: float = 5.0
    engine_probe_timeout_seconds: float = 5.0
    client_request_timeout_seconds: float = 60.0
    client_stall_timeout_seconds: float = 300.0
    client_keep_alive_seconds: float = 120.0
    shutdown_grace_seconds: float = 8.0  # Docker kills the process after 10
    max_concurrent_requests: int = DEFAULT_CONCURRENT_REQUESTS
    max_queued_requests: int = DEFAULT_QUEUED_REQUESTS
    max_connections: int = DEFAULT_CONNECTIONS
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    model_details: Mapping[str, ModelDetails] = field(default_factory=dict)
    model_unload: bool = False
    model_keep_alive_seconds: float = 300.0  # as in Ollama
    max_loaded_models: int = 0  # no limit
    max_body_bytes: int = 50 * MIB  # Mistral.rs refuses larger ones
    max_unpacked_bytes: int = 8 * MIB  # Ollama's own
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    metrics_keys: tuple[str, ...] = field(default=(), repr=False)
    allow_unauthenticated: bool = False
    allow_engine_tools: bool = False
    ollama_version: str = "0.33.0"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "ProxySettings":
        """Read and check every variable.

        Raises:
            SettingsError: Some values are unusable; the text names each variable and what it
                accepts.
        """
        values: dict[str, object] = {}
        faults: list[str] = []
        for variable in VARIABLES:
            text = environ.get(variable.name, "").strip()
            file = environ.get(f"{variable.name}_FILE", "").strip() if variable.secret else ""
            try:
                if file:
                    values[variable.attribute] = variable.parser.parse(_read_secret(text, file))
                elif text:
                    values[variable.attribute] = variable.parser.parse(text)
            except (ValueError, OSError) as error:
                faults.append(variable.complaint(text, file, error))
        settings = cls(**values)  # type: ignore[arg-type]  # each parser returns its field's type
        if not faults and settings._is_open_to_all:
            faults.append(
                f"BIND_ADDRESS={settings.bind}: other machines can reach it; set API_KEY_FILE or "
                "API_KEY to the key that clients must send, or ALLOW_UNAUTHENTICATED=true if "
                "everyone who can reach it may use the engine"
            )
        if faults:
            raise SettingsError("unusable settings:\n  " + "\n  ".join(faults))
        return settings

    @property
    def _is_open_to_all(self) -> bool:
        return not (self.bind.is_loopback or self.api_keys or self.allow_unauthenticated)

    @property
    def shown_engine_url(self) -> str:
        """The engine's URL for messages: without the user and password in it."""
        return without_login(self.engine_url)


def _read_secret(text: str, file: str) -> str:
    if text:
        raise ValueError(file)
    return Path(file).read_text(encoding="utf-8").strip()
