"""Rules for every container in every mode, which also hold for containers that are added later."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from infra.container import duration, failure_hint
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, Secret, ServiceMode
from tests.infra.pulumi_mocks import CONTAINER, IMAGE, Deployed, deploy

ROOT = Path(__file__).parents[2]
MODES: dict[str, dict[str, Any]] = {
    "mistralrs": {},
    "mistralrs on GPUs": {"gpus": "all", "mistralrs_image": "mistral.rs:cuda-sm89-0.9.4"},
    "embedded": {"engine": EngineMode.EMBEDDED},
    "external engine": {"engine": EngineMode.EXTERNAL, "mistral_url": "http://192.0.2.1:8080"},
}
SERVICES: dict[str, dict[str, Any]] = {
    "all managed": {},
    "external Prometheus": {
        "prometheus": ServiceMode.EXTERNAL,
        "prometheus_url": "http://192.0.2.1:9090",
    },
    "external Grafana": {
        "grafana": ServiceMode.EXTERNAL,
        "grafana_url": "https://grafana.example.org",
        "grafana_token": Secret("token"),
    },
}
EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with every secret and a model folder": {
        "hf_token": Secret("token"),
        "api_key": Secret("0123456789abcdef"),
        "model": "/srv/models/tiny",
        "alert_emails": "a@example.org",
        "smtp_host": "mail.example.org:25",
        "smtp_password": Secret("pw"),
    },
}
STACKS = {
    ", ".join(names): {**MODES[names[0]], **SERVICES[names[1]], **EXTRAS[names[2]]}
    for names in itertools.product(MODES, SERVICES, EXTRAS)
}

# Inputs that the tests here check. Any other, such as a device, needs a test of its own here.
FOR_ALL = {
    "name", "image", "user", "labels", "volumes", "networkMode", "privileged", "capabilities",
    "securityOpts",
}  # fmt: skip
FOR_SERVICES = FOR_ALL | {
    "command", "envs", "networksAdvanced", "ports", "hosts", "healthcheck", "wait", "waitTimeout",
    "restart", "destroyGraceSeconds", "stopTimeout", "init", "memory", "memorySwap", "readOnly",
    "tmpfs", "logDriver", "logOpts", "deviceRequests", "shmSize", "mounts",
}  # fmt: skip
FOR_FILES = FOR_ALL | {"start", "mustRun", "uploads"}


@pytest.fixture(scope="module", params=STACKS, name="deployed")
def _deployed(request: pytest.FixtureRequest) -> Deployed:
    return deploy(Settings(**STACKS[request.param]))


@pytest.fixture(name="containers")
def _containers(deployed: Deployed) -> list[dict[str, Any]]:
    """Return every container that the program registers, of any component."""
    return list(deployed.all_inputs(CONTAINER).values())


@pytest.fixture(name="services")
def _services(deployed: Deployed) -> list[dict[str, Any]]:
    return list(deployed.services().values())


def test_no_container_has_an_input_that_is_not_checked_here(deployed: Deployed) -> None:
    for name, inputs in deployed.all_inputs(CONTAINER).items():
        known = FOR_SERVICES if name in deployed.services() else FOR_FILES
        assert inputs.keys() <= known, name


def test_no_container_has_privileges(containers: list[dict[str, Any]]) -> None:
    for inputs in containers:
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["privileged"] is False


def test_no_container_runs_as_root(containers: list[dict[str, Any]]) -> None:
    """Users are numbers: Docker looks names up in the image, where they can mean root."""
    for inputs in containers:
        assert re.fullmatch(r"[1-9]\d*:\d+", inputs["user"])


def test_images_that_are_built_here_name_the_user_that_runs_them(deployed: Deployed) -> None:
    for name, inputs in deployed.all_inputs(IMAGE).items():
        dockerfile = (ROOT / inputs["build"]["dockerfile"]).read_text(encoding="utf-8")
        user = deployed.services()[name.replace("-image", "-container")]["user"]
        assert re.findall(r"(?m)^USER (.*)$", dockerfile)[-1] == user


def test_users_of_our_images_are_none_that_people_services_or_other_images_get(
    deployed: Deployed,
) -> None:
    """A range that Linux distributions leave unused, and that rootless Docker maps (ADR 0016)."""
    for name in deployed.of(IMAGE):
        user = deployed.services()[name.replace("-image", "-container")]["user"]
        uid, _, gid = user.partition(":")
        assert uid == gid
        assert 60706 <= int(uid) <= 61183
        assert not uid.endswith("0")


def test_no_limit_counts_the_processes_of_other_containers(
    services: list[dict[str, Any]],
) -> None:
    """``nproc`` would: a neighbour with the same user keeps a service from starting threads."""
    for inputs in services:
        assert "ulimits" not in inputs


def test_no_two_services_share_a_user(deployed: Deployed) -> None:
    """One could read the other's volumes."""
    users = [inputs["user"] for inputs in deployed.services().values()]
    assert len(users) == len(set(users))


def test_no_service_can_change_its_root_or_its_files(deployed: Deployed) -> None:
    for name, inputs in deployed.services().items():
        assert inputs["readOnly"] is True
        assert all({"noexec", "nosuid"} <= set(o.split(",")) for o in inputs["tmpfs"].values())
        holder = f"{name}-files"
        sources = [volume.get("fromContainer") for volume in inputs.get("volumes", [])]
        expected = [f"{holder}-id:ro"] if holder in deployed.of(CONTAINER) else []
        assert list(filter(None, sources)) == expected


def test_containers_that_hold_files_never_run_and_are_on_no_network(deployed: Deployed) -> None:
    """The provider needs their root writable; but no process runs that could write to it."""
    for name, inputs in deployed.all_inputs(CONTAINER).items():
        if name not in deployed.services():
            (volume,) = inputs["volumes"]
            folder = volume.pop("containerPath")
            assert volume == {}, "not an anonymous volume, which is deleted with its container"
            assert all(upload["file"].startswith(f"{folder}/") for upload in inputs["uploads"])
            assert inputs["start"] is inputs["mustRun"] is False
            assert inputs["networkMode"] == "none"


def test_only_the_model_folder_of_the_host_is_mounted_and_read_only(
    services: list[dict[str, Any]],
) -> None:
    """Above all, Docker's socket isn't mounted, and no folder is made that doesn't exist."""
    volumes = [volume for inputs in services for volume in inputs.get("volumes", [])]
    assert [volume for volume in volumes if "hostPath" in volume] == []
    mounts = [mount for inputs in services for mount in inputs.get("mounts", [])]
    assert {mount["type"] for mount in mounts} <= {"bind"}
    assert {mount["source"] for mount in mounts} <= {"/srv/models/tiny"}
    assert all(mount["readOnly"] for mount in mounts)


def test_only_what_users_need_is_published_and_on_loopback_by_default(deployed: Deployed) -> None:
    published = {name for name, inputs in deployed.services().items() if inputs.get("ports")}
    assert published == deployed.services().keys() - {"engine-container"}
    for name in published:
        (port,) = deployed.services()[name]["ports"]
        assert port["ip"] == "127.0.0.1"


def test_memory_is_limited_with_its_swap(services: list[dict[str, Any]]) -> None:
    """Docker refuses to raise the limit of memory alone."""
    for inputs in services:
        assert inputs["memory"] > 0
        assert inputs["memorySwap"] == inputs["memory"]


def test_logs_are_rotated(services: list[dict[str, Any]]) -> None:
    for inputs in services:
        assert inputs["logDriver"] == "json-file"
        assert inputs["logOpts"].keys() == {"max-size", "max-file"}


def test_containers_restart_and_have_time_to_stop(services: list[dict[str, Any]]) -> None:
    for inputs in services:
        assert inputs["restart"] == "always"
        assert inputs["stopTimeout"] == inputs["destroyGraceSeconds"] >= 15
        assert inputs["init"] is True


def test_up_waits_long_enough_to_see_an_unhealthy_container(
    services: list[dict[str, Any]],
) -> None:
    for inputs in services:
        check = inputs["healthcheck"]
        probes = check["retries"] * (_seconds(check["interval"]) + _seconds(check["timeout"]))
        assert inputs["wait"] is True
        assert check["tests"][0] == "CMD"
        assert inputs["waitTimeout"] >= _seconds(check["startPeriod"]) + probes


def test_no_input_is_one_that_docker_reads_back_differently(
    services: list[dict[str, Any]],
) -> None:
    for inputs in services:
        check = inputs["healthcheck"]
        assert inputs["networkMode"] == "bridge"
        assert "startInterval" not in check
        assert not [m for m in inputs.get("mounts", []) if m.keys() & {"volumeOptions"}]
        for key in ("interval", "timeout", "startPeriod"):
            assert check[key] == duration(int(_seconds(check[key])))


def test_a_changed_or_failed_container_is_replaced(deployed: Deployed) -> None:
    for request in deployed.of(CONTAINER).values():
        assert request.deleteBeforeReplace is True
        assert list(request.replaceOnChanges) == ["*"]


def test_the_engine_may_take_as_long_to_start_as_the_settings_say() -> None:
    request = deploy(Settings(engine_wait_seconds=3600)).of(CONTAINER)["engine-container"]
    assert request.customTimeouts.create == "1h1m0s"


def test_docker_waits_longer_than_requests_may_take_to_finish() -> None:
    for grace, stop in (("8", 15), ("60", 67), ("0.5", 8)):
        deployed = deploy(Settings(shutdown_grace_seconds=grace))
        inputs = deployed.inputs(CONTAINER, "proxy-container")
        assert inputs["stopTimeout"] == inputs["destroyGraceSeconds"] == stop
    request = deploy(Settings(shutdown_grace_seconds="3600")).of(CONTAINER)["proxy-container"]
    assert request.customTimeouts.delete == "1h1m7s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s")],
)
def test_durations_are_written_as_docker_reads_them_back(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def _seconds(text: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def test_a_container_that_does_not_become_healthy_names_the_command_that_shows_why() -> None:
    errors = ["1 error occurred:\n* container failed to be in healthy state", "an earlier one"]
    assert "docker logs --tail 50 frontier-mistral" in failure_hint("frontier-mistral", errors)


@pytest.mark.parametrize(
    "errors",
    [
        [],
        ["error inspecting container state: Error response from daemon: No such container: 1f"],
        ["Unable to create container: Conflict. The container name is already in use"],
    ],
)
def test_there_is_no_log_of_a_container_that_is_gone_or_was_not_created(errors: list[str]) -> None:
    assert failure_hint("frontier-mistral", errors) == ""


def test_every_container_that_runs_tells_where_its_log_is() -> None:
    deployed = deploy()
    told = {name: list(request.hooks.on_error) for name, request in deployed.of(CONTAINER).items()}
    assert {name: hooks for name, hooks in told.items() if name in deployed.services()} == {
        name: [f"{name}-failed"] for name in deployed.services()
    }
