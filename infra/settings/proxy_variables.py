"""What the stack's settings say to the proxy: its variables, checked by its own parsers."""

from collections.abc import Iterator

from infra.settings.schema import SETTING_NAMES, Settings
from infra.settings.types import Secret
from proxy_service.settings.stack_names import STACK_SETTINGS
from proxy_service.settings.values import without_login
from proxy_service.settings.variables import VARIABLES, Variable

# The stack derives these from several settings, or passes them as files.
_DERIVED = ("MISTRAL_URL", "ALLOWED_HOSTS", "API_KEY", "ALLOW_UNAUTHENTICATED")


def proxy_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that settings pass on unchanged, by name, without the unset ones."""
    texts = {variable.name: _text(variable, settings) for variable in _settable()}
    return {name: text for name, text in texts.items() if text and name not in _DERIVED}


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
