import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ops.checkout import ROOT
from ops.processes.ports import LOOPBACK, Port, free_port, holder, port_problems, read_port
from ops.terminal.console import OperatorError


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_is_not_reported() -> None:
    assert port_problems([Port("the proxy", "PROXY_PORT", free_port(LOOPBACK))]) == []


def test_a_taken_port_is_one_line_with_port_holder_and_variable(taken: int) -> None:
    (line,) = port_problems([Port("the proxy", "PROXY_PORT", taken)])

    assert f"port {taken} (the proxy) is taken by " in line
    assert f"(pid {os.getpid()})" in line
    assert "PROXY_PORT=" in line
    assert "\n" not in line


def test_a_listener_on_all_addresses_takes_the_port_too() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        number = listener.getsockname()[1]

        assert len(port_problems([Port("the engine", "ENGINE_PORT", number)])) == 1


def test_every_taken_port_is_named_at_once(taken: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = [Port("a", "A_PORT", taken), Port("b", "B_PORT", other.getsockname()[1])]

        problems = port_problems(ports)

    assert [line.rpartition(" ")[2] for line in problems] == ["A_PORT=…", "B_PORT=…"]


def test_one_port_for_two_services_names_both_variables() -> None:
    number = free_port(LOOPBACK)

    problems = port_problems([Port("a", "A_PORT", number), Port("b", "B_PORT", number)])

    assert problems == [f"A_PORT and B_PORT are both {number}: give them different ports"]


def test_a_free_port_has_no_holder() -> None:
    assert holder(free_port(LOOPBACK)) is None


@pytest.mark.parametrize("text", ["http", "-1", "0", "65536", "80.5"])
def test_the_error_of_an_invalid_port_names_its_variable(text: str) -> None:
    with pytest.raises(OperatorError, match=f"PROXY_PORT={text} is not a port"):
        read_port("the proxy", "PROXY_PORT", {"PROXY_PORT": text}, 1)


def test_an_empty_variable_means_the_default() -> None:
    assert read_port("the proxy", "PROXY_PORT", {"PROXY_PORT": ""}, 11434).number == 11434


def test_a_free_port_is_returned_to_only_one_caller() -> None:
    ports = {free_port(LOOPBACK) for _ in range(50)}

    assert len(ports) == 50


def test_a_free_port_is_given_to_one_process_alone() -> None:
    """Although nothing listens there yet: two test runs side by side must not collide."""
    port = free_port(LOOPBACK)
    program = (
        "from ops.processes import ports\n"
        f"ports._LASTING = range({port}, {port + 1})\n"
        "ports.free_port(ports.LOOPBACK)"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert f"no port of {LOOPBACK} from {port} to {port} is free" in other.stderr
