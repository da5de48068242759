import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.pin_images.command import pin
from ops.pin_images.registry import Reference
from ops.terminal.console import OperatorError
from tests.ops.local_http import Request, Response, serving

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[str]:
    """Serve a registry that has the image team/app:1.0 and asks for an anonymous token."""
    base = ""

    def handle(request: Request) -> Response:
        if request.path.startswith("/token?"):
            assert "scope=repository%3Ateam%2Fapp%3Apull" in request.path
            return Response(body=b'{"token": "let-me-in"}')
        if request.headers.get("Authorization") != "Bearer let-me-in":
            challenge = (
                f'Bearer realm="{base}/token",service="test",scope="repository:team/app:pull"'
            )
            return Response(401, headers={"WWW-Authenticate": challenge})
        if request.path == "/v2/team/app/manifests/1.0":
            assert "application/vnd.oci.image.index.v1+json" in request.headers["Accept"]
            return Response(body=MANIFEST)
        return Response(404)

    with serving(handle) as url:
        base = url
        yield url.removeprefix("http://")


def test_a_tag_is_recorded_with_the_digest_of_its_manifest(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "digests.json"

    pin([f"{registry}/team/app:1.0"], file)

    assert json.loads(file.read_text()) == {f"{registry}/team/app:1.0": DIGEST}


def test_a_reference_that_has_a_digest_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "digests.json"

    pin([f"registry.invalid/app@{DIGEST}"], file)

    assert json.loads(file.read_text()) == {}


def test_nothing_is_written_when_one_digest_cannot_be_read(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "digests.json"
    file.write_text("{}")

    with pytest.raises(OperatorError) as error:
        pin([f"{registry}/team/app:1.0", f"{registry}/team/app:2.0", "127.0.0.1:1/app:3"], file)

    assert f"{registry}/team/app:2.0: " in str(error.value)
    assert "127.0.0.1:1/app:3: " in str(error.value)
    assert file.read_text() == "{}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python:3.13-slim", Reference("docker.io", "library/python", "3.13-slim")),
        ("prom/prometheus:v3", Reference("docker.io", "prom/prometheus", "v3")),
        ("docker.io/grafana/grafana", Reference("docker.io", "grafana/grafana", "latest")),
        ("ghcr.io/a/b.c:cpu-1.0", Reference("ghcr.io", "a/b.c", "cpu-1.0")),
        ("localhost:5000/x:1", Reference("localhost:5000", "x", "1")),
    ],
)
def test_references_are_parsed_by_dockers_rules(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
