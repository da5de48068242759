"""The syntax of model names."""

import pytest

from proxy_service.translate.models.names import with_tag


@pytest.mark.parametrize(
    ("name", "tagged"),
    [
        ("m", "m:latest"),
        ("m:7b", "m:7b"),
        ("host:80/m", "host:80/m:latest"),
        ("/a/b", "/a/b:latest"),
    ],
)
def test_listed_names_have_a_tag(name: str, tagged: str) -> None:
    assert with_tag(name) == tagged
