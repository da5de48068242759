"""The proxy: its URL and the keys that it requires."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.clients import web
from ops.terminal.console import OperatorError
from proxy_service.settings.schema import ProxySettings, SettingsError

_KEY_VARIABLES = ("API_KEY", "API_KEY_FILE", "METRICS_KEY", "METRICS_KEY_FILE")

# Variables for a proxy that requires no key, whatever the operator's environment says.
WITHOUT_KEYS = dict.fromkeys(_KEY_VARIABLES, "")


@dataclass(frozen=True)
class ProxyApi:
    """One proxy.

    Attributes:
        url: Base URL.
        key: Sent with every request; None for none.
        metrics_key: Sent with requests for metrics instead; None for ``key``.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    metrics_key: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return _bearing(self.key)

    def get(self, path: str) -> web.Response:
        """GET a path. Raises UnreachableError when there is no response."""
        return web.get(f"{self.url}{path}", headers=self.headers)

    def first_model(self) -> str | None:
        """Return the name of the first model that the proxy lists; None if it lists none.

        Raises:
            UnreachableError: There is no response.
            ValueError, LookupError: The response isn't a list of models.
        """
        models = self.get("/api/tags").json()["models"]
        return str(models[0]["name"]) if models else None

    def metrics(self, path: str = "/metrics") -> web.Response:
        """GET one of the metrics' paths. Raises UnreachableError as ``get``."""
        return web.get(f"{self.url}{path}", headers=_bearing(self.metrics_key or self.key))

    def post(self, path: str, body: Mapping[str, Any], *, timeout: float) -> web.Response:
        """POST ``body`` as JSON to a path. Raises UnreachableError as ``get``."""
        return web.post(f"{self.url}{path}", body, timeout=timeout, headers=self.headers)


def _bearing(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def keys_of(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return a key for the API and one for its metrics, from the variables that the proxy reads.

    Raises:
        OperatorError: The variables are not valid.
    """
    given = {name: environ[name] for name in _KEY_VARIABLES if name in environ}
    try:
        settings = ProxySettings.from_environ(given)
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    api = next(iter(settings.api_keys), None)
    return api, next(iter(settings.metrics_keys), api)
