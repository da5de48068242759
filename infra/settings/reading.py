"""How the settings are read. No other module uses ``pulumi.Config``."""

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import pulumi

from infra.certificate_authorities import read_authorities
from infra.settings import grammar
from infra.settings.checks import problems
from infra.settings.json_objects import json_object
from infra.settings.mute_timings import MuteTiming, read_mute_timings
from infra.settings.schema import (
    SETTING_NAMES,
    SETTING_TYPES,
    THRESHOLD_NAMES,
    Settings,
    in_setting_names,
)
from infra.settings.served_models import ServedModel, read_lora_adapters, read_models
from infra.settings.types import (
    Arguments,
    EngineMode,
    GrafanaRules,
    LoraAdapters,
    NotifySeverity,
    Secret,
    ServiceMode,
    Variables,
)
from monitoring.thresholds import Thresholds, ThresholdsError


class SettingsError(pulumi.RunError):
    """One or more settings are wrong; the message has a line for each."""

    def __init__(self, errors: Sequence[str]) -> None:
        """Take a sentence for each, which begins with the setting's name."""
        lines = "\n".join(f"  - {error}" for error in errors)
        super().__init__(
            f"{len(errors)} invalid setting(s) (change one with `pulumi config set`):\n{lines}"
        )


def load(config: pulumi.Config) -> Settings:
    """Read and check every setting of the stack.

    Raises:
        SettingsError: One or more are wrong; the message has a line for each, with the remedy.
    """
    settings, errors = parse(config.get)
    errors = [
        *_unknown_settings(config),
        *errors,
        *_plain_secrets(config, settings),
        *problems(settings),
        *_unreadable_files(settings),
    ]
    if errors:
        raise SettingsError(errors)
    return settings


def parse(text_of: Callable[[str], str | None]) -> tuple[Settings, list[str]]:
    """Parse every setting, without checking how they fit together.

    Args:
        text_of: Returns a setting's text by its name; None for its default.

    Returns:
        The settings, with the default for each that can't be parsed, and a sentence for each such.
    """
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name, field in SETTING_NAMES.items():
        text = text_of(name)
        if text is None:
            continue
        try:
            values[field] = _PARSERS[SETTING_TYPES[field]](text)
        except ValueError as error:
            errors.append(f"{name}: {error}")
    return Settings(**values), errors


def _unknown_settings(config: pulumi.Config) -> list[str]:
    """Report names in the stack's file that aren't settings: a typo would go unnoticed."""
    names = _own(config, pulumi.runtime.get_config_env())
    return [
        _no_such_name(name, "setting", SETTING_NAMES) for name in names if name not in SETTING_NAMES
    ]


def _plain_secrets(config: pulumi.Config, settings: Settings) -> list[str]:
    """Report secrets that are stored unencrypted in the stack's file."""
    encrypted = _own(config, pulumi.runtime.get_config_secret_keys_env())
    defaults = Settings()
    return [
        f"{name}: is stored in plain text; run `pulumi config set --secret {name}`"
        for name, field in SETTING_NAMES.items()
        if SETTING_TYPES[field] is Secret
        and getattr(settings, field) != getattr(defaults, field)
        and name not in encrypted
    ]


def _unreadable_files(settings: Settings) -> list[str]:
    try:
        read_authorities(settings.prometheus_ca_file)
    except ValueError as error:
        return [f"prometheusCaFile: {error}"]
    return []


def _own(config: pulumi.Config, keys: Iterable[str]) -> list[str]:
    prefix = f"{config.name}:"
    return [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]


def _no_such_name(name: str, what: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the {what}s are: {', '.join(known)}"
    return f"{name}: no such {what}; {hint}"


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


def _arguments(text: str) -> Arguments:
    """Split a line as a shell does."""
    try:
        return Arguments(tuple(shlex.split(text)))
    except ValueError as error:
        raise ValueError(f"{text!r} can't be split into arguments: {error}") from None


def _variables(text: str) -> Variables:
    given = json_object(text, '{"RUST_LOG": "debug"}')
    for name, value in given.items():
        if not (
            grammar.is_variable(name) and isinstance(value, str) and grammar.is_one_line(value)
        ):
            raise ValueError(f"{name!r} is not a variable with a text of one line")
    return Variables(given)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is not true or false")
    return text == "true"


def _choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not one of {', '.join(kind)}") from None

    return parse


def _thresholds(text: str) -> Thresholds:
    """Read thresholds from a JSON object; the error names every bad one."""
    given = json_object(text, '{"highLatencySeconds": 8}')
    errors = [
        _no_such_name(name, "threshold", THRESHOLD_NAMES)
        for name in given
        if name not in THRESHOLD_NAMES
    ]
    errors += [
        f"{name}: {value!r} is not a number"
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int | float)
    ]
    if errors:
        raise ValueError("; ".join(errors))
    try:
        return Thresholds(**{THRESHOLD_NAMES[name]: value for name, value in given.items()})
    except ThresholdsError as error:
        raise ValueError(in_setting_names(str(error))) from error


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _integer,
    bool: _boolean,
    Secret: Secret,
    Thresholds: _thresholds,
    EngineMode: _choice(EngineMode),
    ServiceMode: _choice(ServiceMode),
    GrafanaRules: _choice(GrafanaRules),
    NotifySeverity: _choice(NotifySeverity),
    tuple[MuteTiming, ...]: read_mute_timings,
    tuple[ServedModel, ...]: read_models,
    int | None: _optional(_integer),
    float | None: _optional(_number),
    LoraAdapters: read_lora_adapters,
    Arguments: _arguments,
    Variables: _variables,
}
