"""What is in the way on the Docker host is told before anything changes."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.processes.ports import LOOPBACK, free_port
from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import configure, operator

HERE = {"docker context inspect": Result(0, "unix:///var/run/docker.sock\n")}
ELSEWHERE = {"docker context inspect": Result(0, "ssh://box\n")}


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port that this process listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def ports(root: Path) -> dict[str, int]:
    """Set the stack's ports to free ones."""
    free = {name: free_port(LOOPBACK) for name in ("proxyPort", "prometheusPort", "grafanaPort")}
    configure(root, **free)
    return free


def running(name: str, ports: str = "", labels: str = "") -> dict[str, Result]:
    shown = {"Names": name, "Status": "Up 2 minutes", "Ports": ports, "Labels": labels}
    return {"docker ps": Result(0, json.dumps(shown))}


def refused(root: Path, runner: ScriptedRunner) -> str:
    with pytest.raises(OperatorError) as raised:
        operator(root, runner).up()
    assert runner.changing == []
    return str(raised.value)


def test_a_taken_port_is_told_with_its_setting_and_its_holder(
    root: Path, ports: dict[str, int], taken: int
) -> None:
    configure(root, **{**ports, "grafanaPort": taken})

    told = refused(root, ScriptedRunner(HERE))

    assert f"grafanaPort: port {taken} of 127.0.0.1 is taken by " in told
    assert f"(pid {os.getpid()})" in told
    assert "pulumi config set grafanaPort" in told


def test_every_taken_port_is_told_at_once(root: Path, ports: dict[str, int], taken: int) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        number = other.getsockname()[1]
        configure(root, **{**ports, "proxyPort": taken, "prometheusPort": number})

        told = refused(root, ScriptedRunner(HERE))

    assert f"proxyPort: port {taken}" in told
    assert f"\nerror: prometheusPort: port {number}" in told


def test_a_port_that_is_not_published_may_be_taken(
    root: Path, ports: dict[str, int], taken: int
) -> None:
    grafana = {"grafana": "external", "grafanaUrl": "https://g.example.org"}
    configure(root, **{**ports, "grafanaPort": taken, **grafana})

    assert operator(root, ScriptedRunner(HERE)).up() == 0


def test_a_listener_on_loopback_is_in_the_way_of_every_address(
    root: Path, ports: dict[str, int], taken: int
) -> None:
    configure(root, **{**ports, "proxyPort": taken, "bindAddress": "0.0.0.0"})

    assert f"proxyPort: port {taken} of 0.0.0.0 is taken" in refused(root, ScriptedRunner(HERE))


@pytest.mark.parametrize(
    "published",
    ["127.0.0.1:{0}->80/tcp", "0.0.0.0:{0}->80/tcp, :::{0}->80/tcp", "[::]:{0}-{1}->80-81/tcp"],
)
@pytest.mark.parametrize("engine", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
def test_another_container_with_the_port_is_named_wherever_docker_is(
    root: Path, ports: dict[str, int], published: str, engine: dict[str, Result]
) -> None:
    port = ports["prometheusPort"]
    runner = ScriptedRunner({**engine, **running("web", published.format(port, port + 1))})

    assert f"port {port} of 127.0.0.1 is taken by the container web" in refused(root, runner)


@pytest.mark.parametrize(
    "published", ["{0}/tcp", "192.0.2.1:{0}->80/tcp", "0.0.0.0:{0}->80/udp"], ids=str
)
def test_a_container_with_another_address_or_protocol_is_not_in_the_way(
    root: Path, ports: dict[str, int], published: str
) -> None:
    runner = ScriptedRunner({**HERE, **running("web", published.format(ports["proxyPort"]))})

    assert operator(root, runner).up() == 0


def test_a_process_of_this_machine_is_not_in_the_way_of_docker_on_another(
    root: Path, ports: dict[str, int], taken: int
) -> None:
    configure(root, **{**ports, "proxyPort": taken})

    assert operator(root, ScriptedRunner(ELSEWHERE)).up() == 0


def test_the_stacks_own_containers_are_not_in_the_way_of_their_update(
    root: Path, ports: dict[str, int], taken: int
) -> None:
    """They, and the process with which Docker publishes their ports, are replaced."""
    configure(root, **{**ports, "grafanaPort": taken})
    own = running(
        "frontier-grafana", f"127.0.0.1:{taken}->3000/tcp", "frontier.stack=dev,frontier.service=g"
    )

    assert operator(root, ScriptedRunner({**HERE, **own})).up() == 0


@pytest.mark.parametrize("name", ["frontier-grafana", "frontier-prometheus-files"])
@pytest.mark.parametrize("labels", ["", "frontier.stack=other"])
def test_a_container_of_somebody_else_with_our_name_is_told_and_left_alone(
    root: Path, ports: dict[str, int], name: str, labels: str
) -> None:
    assert ports
    runner = ScriptedRunner({**HERE, **running(name, labels=labels)})

    assert f"the container name {name} is taken" in refused(root, runner)
    assert not any(" rm " in words for words in runner.commands)


def test_settings_in_yamls_own_types_are_understood(root: Path, taken: int) -> None:
    """`pulumi config set` writes text, but the file may be edited by hand."""
    configure(
        root,
        proxyPort=taken,
        protectData=True,
        alertThresholds={"highLatencySeconds": 8},
        apiKey={"secure": "v1:abc"},
    )

    assert f"proxyPort: port {taken}" in refused(root, ScriptedRunner(HERE))
