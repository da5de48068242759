"""Read the digest of an image's tag from its registry, by the OCI distribution API, without login.

The digest is computed from the manifest itself; a digest that the registry states is not trusted.
"""

import hashlib
import http
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from infra.http_proxies import opener

TIMEOUT_SECONDS = 20.0
DOCKER_HUB = "docker.io"

# Docker Hub serves the API from a different host than the one in references.
DOCKER_HUB_API = "registry-1.docker.io"

# Indexes first: their digest holds for every platform.
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+)(:\d+)?")


class RegistryError(Exception):
    """A manifest can't be read; the message says which image's and why."""


@dataclass(frozen=True)
class Reference:
    """The parts of an image reference: registry host, repository, tag."""

    host: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Parse ``[host/]repository[:tag]`` by Docker's rules; the tag defaults to ``latest``."""
        first, slash, rest = text.partition("/")
        has_host = slash and ("." in first or ":" in first or first == "localhost")
        host, name = (first, rest) if has_host else (DOCKER_HUB, text)
        repository, _, tag = name.partition(":")
        if host == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(host, repository, tag or "latest")

    @property
    def manifest_url(self) -> str:
        """URL of the manifest; as in Docker, plain HTTP only for a registry on loopback."""
        api = DOCKER_HUB_API if self.host == DOCKER_HUB else self.host
        scheme = "http" if LOOPBACK.fullmatch(api) else "https"
        return f"{scheme}://{api}/v2/{self.repository}/manifests/{self.tag}"


def read_digest(reference: str) -> str:
    """Return the digest of the manifest that a tag names now.

    Returns:
        ``sha256:`` and 64 hexadecimal digits.

    Raises:
        RegistryError: The registry can't be reached, or does not serve the image without a login.
    """
    url = Reference.parse(reference).manifest_url
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    try:
        manifest = _read_manifest(url, headers)
    except (OSError, ValueError, KeyError) as error:
        raise RegistryError(f"{reference}: {getattr(error, 'reason', error)} ({url})") from error
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def _read_manifest(url: str, headers: Mapping[str, str]) -> bytes:
    try:
        return _get(url, headers)
    except urllib.error.HTTPError as error:
        with error:
            challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != http.HTTPStatus.UNAUTHORIZED or not challenge.startswith("Bearer "):
            raise
    return _get(url, {**headers, "Authorization": f"Bearer {_anonymous_token(challenge)}"})


def _anonymous_token(challenge: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm")
    granted = json.loads(_get(f"{realm}?{urllib.parse.urlencode(fields)}", {}))
    return str(granted.get("token") or granted["access_token"])


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not an HTTP URL")
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - checked above
    with opener(url, os.environ).open(request, timeout=TIMEOUT_SECONDS) as response:
        body: bytes = response.read()
        return body
