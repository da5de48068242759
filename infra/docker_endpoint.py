"""Which Docker Engine the stack uses, found as the docker CLI finds it.

Pulumi's provider knows the setting, ``DOCKER_HOST`` and the default socket, but not the context
that ``docker context use`` chooses. Colima, Rancher Desktop, OrbStack and rootless Docker listen
on sockets of their own and make themselves known by a context only.

The order is the CLI's: ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the current context in ``config.json``,
the default. The setting ``dockerHost`` comes first. Contexts are kept as the CLI's
``cli/context/store`` lays them out: in folders named after the SHA-256 of the context's name.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Docker's name for what it uses when nothing else is chosen.
_DEFAULT_CONTEXT = "default"

_HOST_VARIABLE = "DOCKER_HOST"
_CONTEXT_VARIABLE = "DOCKER_CONTEXT"
_FOLDER_VARIABLE = "DOCKER_CONFIG"

# Begins what is said of an engine that a context names.
_CONTEXT = "the Docker context"

_TLS_FILES = ("ca.pem", "cert.pem", "key.pem")

# Return a file's text; None if there is no such file.
Read = Callable[[Path], str | None]


class DockerContextError(Exception):
    """The current context can't be used; the message says why and what to do."""


@dataclass(frozen=True)
class DockerEndpoint:
    """A Docker Engine's address and where it is written.

    Attributes:
        host: URL, such as ``unix:///run/user/1000/docker.sock``; empty for Docker's default.
        origin: What names it, for messages.
        cert_path: Folder with ``ca.pem``, ``cert.pem`` and ``key.pem`` for TLS; None for none.
        is_known_to_provider: Whether Pulumi's provider finds it by itself.
    """

    host: str
    origin: str
    cert_path: str | None = None
    is_known_to_provider: bool = False

    @property
    def alternative(self) -> str:
        """What to do to use another engine."""
        if self.origin.startswith(_CONTEXT):
            return "choose another context with `docker context use`"
        return f"change {self.origin}"


_DEFAULT = DockerEndpoint("", "Docker's default", is_known_to_provider=True)


def docker_endpoint(
    setting: str, environ: Mapping[str, str], home: Path, read: Read
) -> DockerEndpoint:
    """Find the Docker Engine.

    Args:
        setting: The stack's ``dockerHost``; empty if it isn't set.
        environ: The operator's environment.
        home: The operator's home folder.
        read: Reads a file.

    Raises:
        DockerContextError: The current context doesn't exist or can't be used.
    """
    if setting:
        return DockerEndpoint(setting, "dockerHost")
    if host := environ.get(_HOST_VARIABLE):
        return DockerEndpoint(host, _HOST_VARIABLE, is_known_to_provider=True)
    folder = Path(environ.get(_FOLDER_VARIABLE) or home / ".docker")
    chosen = environ.get(_CONTEXT_VARIABLE)
    name = chosen or _current_context(folder / "config.json", read)
    return _DEFAULT if name in ("", _DEFAULT_CONTEXT) else _of_context(name, folder, read)


def _current_context(config: Path, read: Read) -> str:
    text = read(config)
    return "" if text is None else str(_object(config, text).get("currentContext") or "")


def _of_context(name: str, folder: Path, read: Read) -> DockerEndpoint:
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = folder / "contexts" / "meta" / digest / "meta.json"
    text = read(file)
    if text is None:
        raise DockerContextError(
            f"the Docker context {name} doesn't exist in {folder}. `docker context ls` lists "
            "those that do; choose one with `docker context use`, or set dockerHost"
        )
    endpoints = _object(file, text).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = endpoint.get("Host") if isinstance(endpoint, dict) else None
    if not host:
        return _DEFAULT
    tls = folder / "contexts" / "tls" / digest / "docker"
    cert_path = _cert_path(name, str(host), tls, read)
    return DockerEndpoint(str(host), f"{_CONTEXT} {name}", cert_path)


def _cert_path(name: str, host: str, tls: Path, read: Read) -> str | None:
    if not host.startswith("tcp:"):
        return None
    missing = [file for file in _TLS_FILES if read(tls / file) is None]
    if missing == list(_TLS_FILES):
        return None
    if missing:
        raise DockerContextError(
            f"the Docker context {name} uses TLS without {' and '.join(missing)}, which Pulumi's "
            "provider needs. Add what is missing with `docker context update`, or set dockerHost "
            "to an ssh:// address"
        )
    return str(tls)


def _object(file: Path, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DockerContextError(f"{file} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise DockerContextError(f"{file} can't be read: it isn't a JSON object")
    return value
