"""Which Docker Engine the stack uses, with folders laid out as the docker CLI lays them out."""

from pathlib import Path

import pytest

from infra.docker_endpoint import DockerContextError, DockerEndpoint, docker_endpoint
from tests.infra.docker_contexts import make_context, use

SOCKET = "unix:///home/me/.colima/default/docker.sock"
DEFAULT = DockerEndpoint("", "Docker's default", is_known_to_provider=True)


def read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def find(home: Path, setting: str = "", **environ: str) -> DockerEndpoint:
    return docker_endpoint(setting, environ, home, read)


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    config = tmp_path / ".docker"
    make_context(config, "colima", SOCKET)
    use(config, "colima")
    return config


def test_without_any_configuration_it_is_dockers_default(tmp_path: Path) -> None:
    assert find(tmp_path) == DEFAULT


@pytest.mark.parametrize("current", ["", "default"])
def test_the_default_context_is_left_to_the_provider(config: Path, current: str) -> None:
    use(config, current)
    assert find(config.parent) == DEFAULT


def test_the_current_context_names_the_engine(config: Path) -> None:
    assert find(config.parent) == DockerEndpoint(SOCKET, "the Docker context colima")


def test_the_order_is_that_of_the_cli_after_the_stacks_own_setting(config: Path) -> None:
    home = config.parent
    make_context(config, "rancher", "unix:///home/me/.rd/docker.sock")
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:2375", "DOCKER_CONTEXT": "rancher"}
    assert find(home, "ssh://box", **environ) == DockerEndpoint("ssh://box", "dockerHost")
    assert find(home, **environ) == DockerEndpoint(
        "tcp://127.0.0.1:2375", "DOCKER_HOST", is_known_to_provider=True
    )
    del environ["DOCKER_HOST"]
    assert find(home, **environ).host == "unix:///home/me/.rd/docker.sock"
    assert find(home, DOCKER_CONTEXT="default") == DEFAULT
    assert find(home, DOCKER_CONTEXT="", DOCKER_HOST="").host == SOCKET


def test_docker_config_names_another_folder(config: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    make_context(elsewhere, "mine", "ssh://me@box")
    use(elsewhere, "mine")
    found = find(config.parent, DOCKER_CONFIG=str(elsewhere))
    assert found == DockerEndpoint("ssh://me@box", "the Docker context mine")


def test_tls_files_of_a_context_are_given_by_their_folder(config: Path) -> None:
    tls = make_context(config, "gpu", "tcp://gpu.example:2376", "ca.pem", "cert.pem", "key.pem")
    found = find(config.parent, DOCKER_CONTEXT="gpu")
    assert found == DockerEndpoint("tcp://gpu.example:2376", "the Docker context gpu", tls)


def test_a_tcp_address_without_tls_is_one(config: Path) -> None:
    make_context(config, "plain", "tcp://127.0.0.1:2375")
    assert find(config.parent, DOCKER_CONTEXT="plain").cert_path is None


def test_tls_without_a_certificate_of_the_client_is_refused(config: Path) -> None:
    make_context(config, "gpu", "tcp://gpu.example:2376", "ca.pem")
    with pytest.raises(DockerContextError, match=r"gpu uses TLS without cert.pem and key.pem"):
        find(config.parent, DOCKER_CONTEXT="gpu")


def test_a_context_that_does_not_exist_is_named(config: Path) -> None:
    with pytest.raises(DockerContextError, match=r"the Docker context gone doesn't exist in"):
        find(config.parent, DOCKER_CONTEXT="gone")


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_file_that_cannot_be_read_is_named(config: Path, text: str) -> None:
    (config / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(DockerContextError, match=r"config\.json can't be read"):
        find(config.parent)


@pytest.mark.parametrize("meta", ['{"Name": "colima"}', '{"Endpoints": {"docker": {}}}'])
def test_a_context_without_an_address_means_the_default_one(config: Path, meta: str) -> None:
    (file,) = config.glob("contexts/meta/*/meta.json")
    file.write_text(meta, encoding="utf-8")
    assert find(config.parent) == DEFAULT
