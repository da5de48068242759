"""Faults of a real stack: its processes, and the command that starts it, are killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.components.grafana_content import FOLDER_UID
from tests.e2e.conftest import with_ports
from tests.e2e.harness import Stack, container_ids, docker, eventually, fetch, inspect, new_stack

pytestmark = pytest.mark.e2e

ENGINE = "frontier-mistral"
PROXY = "frontier-mistral-ollama-proxy"
PROMETHEUS = "frontier-prometheus"
GRAFANA = "frontier-grafana"
CLIENTS = 4
POINTS = ("network", "prometheus-container", "grafana-container", "grafana-content-folder")
"""Resources during whose creation ``up`` is killed, one after the other."""


@pytest.mark.parametrize("name", [ENGINE, PROXY, PROMETHEUS, GRAFANA])
def test_a_service_that_is_killed_under_load_restarts_with_its_data(
    running: Stack, name: str
) -> None:
    outputs = running.outputs()
    container = running.container(name)
    with load(outputs["proxyUrl"]) as answered:
        eventually(answered.is_set)
        moment = eventually(lambda: _prometheus_time(outputs))
        restarts = inspect(container)["RestartCount"]
        _kill_processes(container)
        eventually(lambda: inspect(container)["RestartCount"] > restarts)
        eventually(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy")
        answered.clear()
        eventually(answered.is_set)
    assert eventually(lambda: _up_at(outputs, moment))
    assert eventually(lambda: _grafana_folder(outputs)) == FOLDER_UID
    assert running.planned() == {}


def test_up_completes_after_it_was_killed_several_times(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Each run continues where the one before was killed, and leaves nothing incomplete."""
    with new_stack(tmp_path, with_ports(base_settings)) as stack:
        for point in POINTS:
            _kill_up(stack, signal.SIGKILL, when=f" {point} creating")
            _unlock(stack)
        stack.operate("up")
        _assert_complete(stack)


def test_up_completes_after_it_was_interrupted(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl-C leaves no lock: Pulumi finishes the operations that it has begun."""
    with new_stack(tmp_path, with_ports(base_settings)) as stack:
        _kill_up(stack, signal.SIGINT, when=" grafana-container creating")
        stack.operate("up")
        _assert_complete(stack)


def test_down_removes_a_stack_whose_up_was_killed(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """It even removes a container that already runs but is not in the state."""
    with new_stack(tmp_path, with_ports(base_settings)) as stack:
        grafana = stack.container(GRAFANA)
        _kill_up(
            stack, signal.SIGKILL, when=" grafana-container creating",
            and_once=lambda: grafana in container_ids(stack.name),
        )  # fmt: skip
        _unlock(stack)
        stack.operate("down")
        label = f"label=frontier.stack={stack.name}"
        assert docker("ps", "--all", "--quiet", "--filter", label) == ""
        assert _networks(stack) == []


@contextmanager
def load(url: str) -> Iterator[Event]:
    """Send requests from several clients until the block ends; each response sets the event."""
    model = fetch(f"{url}/api/tags")["models"][0]["name"]
    question = {"model": model, "prompt": "Hello", "stream": False, "options": {"num_predict": 8}}
    answered, over = Event(), Event()

    def chat() -> None:
        while not over.is_set():
            # Requests fail while a service is down; other tests look at how.
            with suppress(OSError, ValueError):
                fetch(f"{url}/api/generate", question)
                answered.set()

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(CLIENTS):
            clients.submit(chat)
        try:
            yield answered
        finally:
            over.set()


def _kill_processes(container: str) -> None:
    """Kill all but the first process, an init that then ends with its child's exit code.

    Not ``docker kill``: Docker doesn't restart a container that a user killed.
    """
    subprocess.run(["docker", "exec", container, "sh", "-c", "kill -9 -1"], check=False)


def _kill_up(
    stack: Stack, by: signal.Signals, *, when: str, and_once: Callable[[], bool] = lambda: True
) -> None:
    """Run ``make up``'s command until it prints ``when``, then signal all of its processes."""
    up = subprocess.Popen(
        [".venv/bin/python", "-m", "ops.stack", "up"],
        cwd=stack.folder,
        env=stack.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert up.stdout is not None
    with up:
        printed = []
        for line in up.stdout:
            printed.append(line)
            if when in line:
                eventually(and_once)
                os.killpg(up.pid, by)
                break
        else:
            pytest.fail(f"never printed {when!r}:\n{''.join(printed)}")
        up.stdout.read()


def _unlock(stack: Stack) -> None:
    """Follow the instructions of ``make up`` for a stale lock and for an incomplete state."""
    cancel = ("pulumi", "cancel", "--yes", "--stack", stack.name, "--non-interactive")
    failed = stack.run(*cancel)
    if "failed to load checkpoint" in failed.stderr:
        state = stack.state / ".pulumi/stacks/frontier" / f"{stack.name}.json"
        shutil.copy(f"{state}.bak", state)
        stack.succeed(*cancel)


def _assert_complete(stack: Stack) -> None:
    states = {
        name: inspect(name)["State"]["Health"]["Status"] for name in container_ids(stack.name)
    }
    assert states == dict.fromkeys(
        map(stack.container, (ENGINE, PROXY, PROMETHEUS, GRAFANA)), "healthy"
    )
    assert _networks(stack) == [stack.container("frontier")]
    assert stack.planned() == {}
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def _networks(stack: Stack) -> list[str]:
    listed = docker("network", "ls", "--format", "{{.Name}}", "--filter", f"name={stack.name}")
    return listed.split()


def _prometheus_time(outputs: dict[str, str]) -> str:
    """Return a moment at which Prometheus has a sample of the proxy."""
    found = _query(outputs, 'timestamp(up{job="mistral"} == 1)')
    return str(found[0]["value"][1]) if found else ""


def _up_at(outputs: dict[str, str], moment: str) -> bool:
    return bool(_query(outputs, 'up{job="mistral"}', time=moment))


def _query(outputs: dict[str, str], query: str, **more: str) -> list[Any]:
    parameters = urlencode({"query": query, **more})
    response = fetch(f"{outputs['prometheusUrl']}/api/v1/query?{parameters}")
    return list(response["data"]["result"])


def _grafana_folder(outputs: dict[str, str]) -> str:
    login = (outputs["grafanaUser"], outputs["grafanaAdminPassword"])
    return str(fetch(f"{outputs['grafanaUrl']}/api/folders/{FOLDER_UID}", login=login)["uid"])
