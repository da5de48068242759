"""Where the drill listens so that a Grafana in a container can connect to it."""

import pytest

from ops.clients.docker import DockerEngine
from ops.drill.reachable_address import Address, find_address
from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner

# Reserved for documentation (RFC 5737), so no machine has it.
ELSEWHERE = "192.0.2.250"


def address(gateways: Result, *, given: str | None = None) -> Address:
    runner = ScriptedRunner({"docker container inspect": gateways})
    return find_address(DockerEngine(runner), "frontier-grafana", given)


def test_on_linux_it_is_the_gateway_of_the_containers_network() -> None:
    assert address(Result(0, "\n127.0.0.1\n")) == Address("127.0.0.1", "127.0.0.1")


def test_a_gateway_on_another_machine_means_docker_desktop() -> None:
    assert address(Result(0, f"{ELSEWHERE}\n")) == Address("127.0.0.1", "host.docker.internal")


def test_a_grafana_without_a_container_is_on_this_machine() -> None:
    assert address(Result(1, "", "Error: No such container")) == Address("127.0.0.1", "127.0.0.1")


def test_without_docker_no_docker_command_is_run() -> None:
    runner = ScriptedRunner(programs={})

    assert find_address(DockerEngine(runner), "frontier-grafana", None).listen == "127.0.0.1"
    assert runner.commands == []


def test_an_address_from_the_operator_must_belong_to_this_machine() -> None:
    assert address(Result(0, ""), given="127.0.0.1") == Address("127.0.0.1", "127.0.0.1")
    with pytest.raises(OperatorError, match=f"{ELSEWHERE} isn't an address of this machine"):
        address(Result(0, ""), given=ELSEWHERE)
