"""What the stack's settings say to the proxy: its variables, checked by its own parsers."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from infra.settings.schema import SETTING_NAMES, Settings
from infra.settings.types import Secret
from proxy_service.settings.stack_names import STACK_SETTINGS
from proxy_service.settings.values import without_login
from proxy_service.settings.variables import VARIABLES, Variable
from proxy_service.translate.models.names import fold_name

# The stack derives these from several settings, or passes them as files.
_DERIVED = ("MISTRAL_URL", "ALLOWED_HOSTS", "API_KEY", "ALLOW_UNAUTHENTICATED")


def proxy_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that settings pass on unchanged, by name, without the unset ones."""
    texts = {variable.name: _text(variable, settings) for variable in _settable()}
    texts["MODEL_DETAILS"] = _model_details(settings)
    return {name: text for name, text in texts.items() if text and name not in _DERIVED}


def _model_details(settings: Settings) -> str:
    """Add what the settings of the engine say to ``modelDetails``, whose own values go first."""
    known: dict[str, dict[str, object]] = {}
    for model in settings.models:
        known[model.id] = {"name": model.name}
        if length := model.context_length or settings.context_length:
            known[model.id]["context_length"] = length
    if settings.context_length and not settings.models:
        known[settings.served_models[0].id] = {"context_length": settings.context_length}
    if not known:
        return settings.model_details
    given = json.loads(settings.model_details or "{}")
    names = {fold_name(id_): id_ for id_ in known}
    names |= {fold_name(PurePosixPath(id_).name): id_ for id_ in known if id_.startswith("/")}
    names |= {fold_name(model.name): model.id for model in settings.models}
    for name, details in given.items():
        key = names.get(fold_name(name), name)
        known[key] = known.get(key, {}) | details
    return json.dumps(known, ensure_ascii=False)


def refused(settings: Settings) -> Iterator[str]:
    """Report each setting that the proxy would refuse, as its variable, when it starts."""
    for variable in _settable():
        text = _text(variable, settings)
        try:
            if text:
                variable.parser.parse(text)
        except ValueError:
            shown = "the value" if variable.secret else repr(without_login(text))
            setting = STACK_SETTINGS[variable.name]
            yield f"{setting}: {shown} is not accepted; expected {variable.accepts}"


def _settable() -> list[Variable]:
    return [variable for variable in VARIABLES if variable.name in STACK_SETTINGS]


def _text(variable: Variable, settings: Settings) -> str:
    """Return the text that the proxy would read; it removes surrounding spaces."""
    value = getattr(settings, SETTING_NAMES[STACK_SETTINGS[variable.name]])
    if isinstance(value, bool):
        return str(value).lower()
    return (value.value if isinstance(value, Secret) else str(value)).strip()
