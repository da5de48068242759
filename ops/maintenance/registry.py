"""Resolve an image's tag to its digest at its registry: the OCI distribution API, anonymously.

The digest is computed from the manifest that was read, never taken from anywhere else.
"""

import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 20.0
DOCKER_HUB = "docker.io"
DOCKER_HUB_API = "registry-1.docker.io"
"""Docker Hub serves the API under another name than the one in references."""
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Indexes first: their digest holds for every platform."""
LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+)(:\d+)?")
UNAUTHORIZED = 401


class RegistryError(Exception):
    """A registry gave no manifest; the message says which image and why."""


@dataclass(frozen=True)
class Reference:
    """An image reference taken apart: registry host, repository, tag."""

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
        """URL of the manifest; plain HTTP on loopback alone, as Docker does it."""
        api = DOCKER_HUB_API if self.host == DOCKER_HUB else self.host
        scheme = "http" if LOOPBACK.fullmatch(api) else "https"
        return f"{scheme}://{api}/v2/{self.repository}/manifests/{self.tag}"


def read_digest(reference: str) -> str:
    """Read the digest of the manifest that a tag names now.

    Returns:
        ``sha256:`` and 64 hexadecimal digits.

    Raises:
        RegistryError: The registry can't be reached, or has no such image for everyone.
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
        if error.code != UNAUTHORIZED or not challenge.startswith("Bearer "):
            raise
    return _get(url, {**headers, "Authorization": f"Bearer {_anonymous_token(challenge)}"})


def _anonymous_token(challenge: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm")
    answer = json.loads(_get(f"{realm}?{urllib.parse.urlencode(fields)}", {}))
    return str(answer.get("token") or answer["access_token"])


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is no HTTP URL")
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (checked above)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 (same)
        body: bytes = reply.read()
        return body
