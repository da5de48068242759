"""Rules that hold for every container, so that a new one cannot forget them."""

import re
from typing import Any

import pytest

from infra.choices import EngineMode, Secret
from infra.container import duration
from infra.settings import Settings
from tests.infra.monitor import CONTAINER, Deployed, deploy

STACKS = {
    "mistralrs": Settings(),
    "embedded": Settings(engine=EngineMode.EMBEDDED),
    "with mail": Settings(
        alert_emails="a@example.org", smtp_host="mail.example.org:25", smtp_password=Secret("pw")
    ),
}


@pytest.fixture(scope="module", params=STACKS, name="deployed")
def _deployed(request: pytest.FixtureRequest) -> Deployed:
    return deploy(STACKS[request.param])


@pytest.fixture(name="containers")
def _containers(deployed: Deployed) -> list[dict[str, Any]]:
    return list(deployed.all_inputs(CONTAINER).values())


def test_no_container_has_privileges(containers: list[dict[str, Any]]) -> None:
    for inputs in containers:
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["privileged"] is False


def test_containers_are_read_only_where_no_file_is_put_into_them(deployed: Deployed) -> None:
    read_only = {name for name, spec in deployed.all_inputs(CONTAINER).items() if spec["readOnly"]}
    assert read_only == {"engine-container", "proxy-container"}


def test_the_docker_socket_is_never_mounted(containers: list[dict[str, Any]]) -> None:
    for inputs in containers:
        assert "docker.sock" not in str(inputs)


def test_memory_is_limited_with_its_swap(containers: list[dict[str, Any]]) -> None:
    """A limit that is raised alone would be refused by Docker."""
    for inputs in containers:
        assert inputs["memory"] > 0
        assert inputs["memorySwap"] == inputs["memory"]


def test_logs_are_rotated(containers: list[dict[str, Any]]) -> None:
    for inputs in containers:
        assert inputs["logDriver"] == "json-file"
        assert inputs["logOpts"].keys() == {"max-size", "max-file"}


def test_containers_restart_and_are_given_time_to_stop(containers: list[dict[str, Any]]) -> None:
    for inputs in containers:
        assert inputs["restart"] == "unless-stopped"
        assert inputs["destroyGraceSeconds"] >= 15
        assert inputs["init"] is True


def test_up_waits_for_health_longer_than_a_sick_container_needs_to_show(
    containers: list[dict[str, Any]],
) -> None:
    for inputs in containers:
        check = inputs["healthcheck"]
        probes = check["retries"] * (_seconds(check["interval"]) + _seconds(check["timeout"]))
        assert inputs["wait"] is True
        assert check["tests"][0] == "CMD"
        assert inputs["waitTimeout"] >= _seconds(check["startPeriod"]) + probes


def test_nothing_is_used_that_docker_reads_back_differently(
    containers: list[dict[str, Any]],
) -> None:
    for inputs in containers:
        check = inputs["healthcheck"]
        assert inputs["networkMode"] == "bridge"
        assert "startInterval" not in check
        assert "mounts" not in inputs
        for key in ("interval", "timeout", "startPeriod"):
            assert check[key] == duration(int(_seconds(check[key])))


def test_a_changed_or_failed_container_is_replaced_not_patched(deployed: Deployed) -> None:
    for request in deployed.of(CONTAINER).values():
        assert request.deleteBeforeReplace is True
        assert list(request.replaceOnChanges) == ["*"]


def test_the_engine_may_take_as_long_as_its_model() -> None:
    request = deploy(Settings(engine_wait_seconds=3600)).of(CONTAINER)["engine-container"]
    assert request.customTimeouts.create == "1h1m0s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s")],
)
def test_durations_are_written_as_docker_gives_them_back(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def _seconds(text: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
