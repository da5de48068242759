"""What can't work on the machine that runs the program is refused before anything is changed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from infra.docker_endpoint import DockerEndpoint
from infra.docker_probe import DockerProbe, probe_docker
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, Secret, ServiceMode
from infra.surroundings import Surroundings, hints, misfits
from tests.infra.certificates import AUTHORITY
from tests.infra.docker_contexts import engine

COLIMA = DockerEndpoint("unix:///home/me/.colima/docker.sock", "the Docker context colima")
HERE = Surroundings(
    docker=COLIMA,
    probe=DockerProbe(machine="laptop"),
    machine="laptop",
    environ={},
    exists={"/srv/models/tiny"}.__contains__,
)
HTTP_PROXY = {"HTTP_PROXY": "http://proxy.example:3128"}


def test_nothing_is_wrong_with_the_defaults() -> None:
    assert misfits(Settings(), HERE) == []


def test_an_engine_that_cannot_be_reached_is_named_with_its_context() -> None:
    (fault,) = misfits(Settings(), replace(HERE, probe=DockerProbe(fault="[Errno 2] No such file")))
    assert fault.startswith(
        "dockerHost: Docker can't be reached at unix:///home/me/.colima/docker.sock (the Docker "
        "context colima): [Errno 2] No such file. Start it, or choose another context with `docker"
    )


@pytest.mark.parametrize("origin", ["dockerHost", "DOCKER_HOST"])
def test_an_address_that_is_wrong_is_to_be_changed_where_it_is_written(origin: str) -> None:
    docker = DockerEndpoint("tcp://127.0.0.1:1", origin)
    here = replace(HERE, docker=docker, probe=DockerProbe(fault="refused"))
    (fault,) = misfits(Settings(), here)
    assert fault.endswith(f"({origin}): refused. Start it, or change {origin}")


def test_dockers_default_is_left_to_the_provider_which_knows_more_sockets() -> None:
    default = DockerEndpoint("", "Docker's default", is_known_to_provider=True)
    here = replace(HERE, docker=default, probe=DockerProbe(fault="no such file"))
    assert misfits(Settings(), here) == []


@pytest.mark.parametrize("host", ["ssh://me@gpu.example", "tcp://192.0.2.7:2376"])
def test_a_context_on_another_machine_needs_an_advertised_host(host: str) -> None:
    here = replace(HERE, docker=DockerEndpoint(host, "the Docker context gpu"))
    (fault,) = misfits(Settings(), here)
    assert fault.startswith("advertisedHost: the Docker context gpu is another machine")
    assert misfits(Settings(advertised_host="127.0.0.1"), here) == []


def test_a_model_folder_that_does_not_exist_is_refused_where_that_is_known() -> None:
    missing = Settings(model="/srv/models/tyni")
    (fault,) = misfits(missing, HERE)
    assert fault.startswith("model: there is no /srv/models/tyni on the Docker host")
    assert misfits(replace(missing, engine=EngineMode.EMBEDDED), HERE) == [fault]
    assert misfits(Settings(model="/srv/models/tiny"), HERE) == []
    assert misfits(Settings(model="org/model"), HERE) == []
    assert misfits(replace(missing, engine=EngineMode.EXTERNAL), HERE) == []


@pytest.mark.parametrize("machine", [None, "colima", "docker-desktop"])
def test_paths_of_another_machine_are_left_to_docker(machine: str | None) -> None:
    here = replace(HERE, probe=DockerProbe(machine=machine))
    assert misfits(Settings(model="/srv/models/tyni"), here) == []


@pytest.mark.parametrize(
    ("settings", "environ", "is_refused"),
    [
        ({}, HTTP_PROXY, False),
        ({"advertised_host": "llm.example"}, {}, False),
        ({"advertised_host": "llm.example"}, HTTP_PROXY, True),
        ({"bind_address": "192.0.2.7"}, HTTP_PROXY, True),
        ({"bind_address": "192.0.2.7"}, {**HTTP_PROXY, "NO_PROXY": "192.0.2.0/24"}, False),
        ({"advertised_host": "llm.example"}, {"HTTPS_PROXY": "http://proxy.example"}, False),
        ({"advertised_host": "llm.example"}, {**HTTP_PROXY, "NO_PROXY": ".example"}, False),
        (
            {
                "grafana": ServiceMode.EXTERNAL,
                "grafana_url": "http://grafana.example",
                "grafana_token": Secret("t"),
            },
            HTTP_PROXY,
            False,
        ),
    ],
)
def test_the_password_of_the_stacks_grafana_is_sent_to_no_http_proxy(
    settings: dict[str, object], environ: Mapping[str, str], *, is_refused: bool
) -> None:
    faults = misfits(Settings(**settings), replace(HERE, environ=environ))  # type: ignore[arg-type]
    assert bool(faults) is is_refused
    assert all("add" in fault and "to NO_PROXY" in fault for fault in faults)


def test_an_engine_on_a_socket_says_on_which_machine_it_runs(tmp_path: Path) -> None:
    info = json.dumps({"Name": "laptop"}).encode()
    with engine(tmp_path / "d.sock", info) as url:
        assert probe_docker(url) == DockerProbe(machine="laptop")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"Name": 7}'])
def test_an_engine_that_does_not_say_so_is_taken_as_it_is(tmp_path: Path, body: bytes) -> None:
    with engine(tmp_path / "d.sock", body) as url:
        assert probe_docker(url) == DockerProbe()


def test_a_socket_that_is_no_engine_is_a_fault(tmp_path: Path) -> None:
    with engine(tmp_path / "d.sock", b"<html>") as url:
        assert probe_docker(url).fault


def test_an_address_that_nobody_listens_on_is_a_fault(tmp_path: Path) -> None:
    missing = probe_docker(f"unix://{tmp_path / 'missing.sock'}")
    assert missing.fault is not None
    assert "No such file" in missing.fault
    refused = probe_docker("tcp://127.0.0.1:1")
    assert refused.fault is not None
    assert "refused" in refused.fault


@pytest.mark.parametrize("host", ["", "ssh://me@box", "npipe:////./pipe/docker_engine", "fd://"])
def test_addresses_that_cannot_be_asked_are_taken_as_they_are(host: str) -> None:
    assert probe_docker(host) == DockerProbe()


CA = f"# Főtanúsítvány\n{AUTHORITY}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "caFile: /etc/ca.pem can't be read as a text file on this machine"),
        ("", "caFile: /etc/ca.pem holds no certificate in PEM form"),
        ("MIIB", "caFile: /etc/ca.pem holds no certificate in PEM form"),
        (f"{CA}-----BEGIN PRIVATE KEY-----\n", "caFile: /etc/ca.pem holds a private key"),
        (f"-----BEGIN EC PRIVATE KEY-----\n{CA}", "caFile: /etc/ca.pem holds a private key"),
        (
            CA.replace("MIIB", "MIIC"),
            "caFile: /etc/ca.pem has a certificate that can't be read",
        ),
        (CA + CA[:300], "caFile: /etc/ca.pem has a certificate that can't be read"),
        (CA * 200, "caFile: /etc/ca.pem is longer than 64 KiB"),
    ],
)
def test_a_file_of_cas_that_cannot_be_used_is_refused(text: str | None, complaint: str) -> None:
    (fault,) = misfits(Settings(ca_file="/etc/ca.pem"), replace(HERE, ca_certificates=text))
    assert fault.startswith(complaint)


def test_a_file_of_cas_is_accepted() -> None:
    assert misfits(Settings(ca_file="/etc/ca.pem"), replace(HERE, ca_certificates=CA * 3)) == []


def test_a_proxy_of_the_environment_is_mentioned_but_not_used_and_not_shown() -> None:
    (hint,) = hints(Settings(), {"HTTPS_PROXY": "http://me:word@p:1", "http_proxy": "http://p:1"})
    assert "this environment's http_proxy and HTTPS_PROXY" in hint
    assert "word" not in hint
    assert hints(Settings(https_proxy=Secret("http://p:1")), {"HTTPS_PROXY": "http://p:1"}) == []
    assert hints(Settings(), {"NO_PROXY": "*"}) == []
