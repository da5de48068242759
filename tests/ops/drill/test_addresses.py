"""Where the drill listens so that a Grafana in a container reaches it."""

import json

import pytest

from ops.drill.reach import Reach, reach_of
from ops.drill.timeline import State
from ops.drill.webhook import receiving
from ops.services import web
from ops.services.docker_engine import DockerEngine
from ops.system.console import OperatorError
from ops.system.runner import Result
from tests.ops.scripted_runner import ScriptedRunner

ELSEWHERE = "192.0.2.250"
"""Reserved for documentation (RFC 5737), so no machine has it."""


def reach(gateways: Result, *, given: str | None = None) -> Reach:
    runner = ScriptedRunner({"docker container inspect": gateways})
    return reach_of(DockerEngine(runner), "frontier-grafana", given)


def test_on_linux_it_is_the_gateway_of_the_containers_network() -> None:
    assert reach(Result(0, "\n127.0.0.1\n")) == Reach("127.0.0.1", "127.0.0.1")


def test_a_gateway_that_is_not_this_machine_is_docker_desktop_s() -> None:
    assert reach(Result(0, f"{ELSEWHERE}\n")) == Reach("127.0.0.1", "host.docker.internal")


def test_a_grafana_without_a_container_is_on_this_machine() -> None:
    assert reach(Result(1, "", "Error: No such container")) == Reach("127.0.0.1", "127.0.0.1")


def test_without_docker_nothing_is_asked_of_it() -> None:
    runner = ScriptedRunner(programs={})

    assert reach_of(DockerEngine(runner), "frontier-grafana", None).address == "127.0.0.1"
    assert runner.asked == []


def test_the_operator_s_answer_must_be_an_address_of_this_machine() -> None:
    assert reach(Result(0, ""), given="127.0.0.1") == Reach("127.0.0.1", "127.0.0.1")
    with pytest.raises(OperatorError, match=f"{ELSEWHERE} is no address of this machine"):
        reach(Result(0, ""), given=ELSEWHERE)


def test_the_receiver_takes_notifications_on_its_secret_path_alone() -> None:
    alert = {"status": "firing", "labels": {"alertname": "MistralDown"}}
    with receiving("127.0.0.1") as receiver:
        base = f"http://127.0.0.1:{receiver.server_port}"

        refused = web.send("POST", f"{base}/", {"alerts": [alert]})
        assert (refused.status, receiver.told.states()) == (404, {})

        garbled = web.send("POST", f"{base}{receiver.path}", json.dumps("x"))
        assert garbled.status == 400

        assert web.send("POST", f"{base}{receiver.path}", {"alerts": [alert]}).ok
        assert receiver.told.states() == {"MistralDown": State.FIRING}
