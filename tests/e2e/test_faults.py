"""What breaks under a stack: its processes, and the command that brings it up."""

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
from tests.e2e.harness import Stack, container_ids, docker, eventually, fetch, inspect, stack

pytestmark = pytest.mark.e2e

ENGINE = "frontier-mistral"
PROXY = "frontier-mistral-ollama-proxy"
PROMETHEUS = "frontier-prometheus"
GRAFANA = "frontier-grafana"
CLIENTS = 4
POINTS = ("network", "prometheus-container", "grafana-container", "grafana-content-folder")
"""Resources during whose creation ``up`` is killed, one after the other."""


@pytest.mark.parametrize("name", [ENGINE, PROXY, PROMETHEUS, GRAFANA])
def test_a_service_that_is_killed_under_load_comes_back_with_all_it_knew(
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


def test_an_up_that_is_killed_again_and_again_ends_well(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Each run goes on where the one before was killed, and nothing is left half made."""
    with stack(tmp_path, with_ports(base_settings)) as made:
        for point in POINTS:
            _kill_up(made, signal.SIGKILL, when=f" {point} creating")
            _unlock(made)
        made.operate("up")
        _assert_complete(made)


def test_an_up_that_is_interrupted_ends_well_when_run_again(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl-C leaves no lock: Pulumi finishes what it has begun."""
    with stack(tmp_path, with_ports(base_settings)) as made:
        _kill_up(made, signal.SIGINT, when=" grafana-container creating")
        made.operate("up")
        _assert_complete(made)


def test_a_stack_whose_up_was_killed_is_gone_after_down(
    base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Also a container that runs already, and that the state does not know."""
    with stack(tmp_path, with_ports(base_settings)) as made:
        grafana = made.container(GRAFANA)
        _kill_up(
            made, signal.SIGKILL, when=" grafana-container creating",
            and_once=lambda: grafana in container_ids(made.name),
        )  # fmt: skip
        _unlock(made)
        made.operate("down")
        label = f"label=frontier.stack={made.name}"
        assert docker("ps", "--all", "--quiet", "--filter", label) == ""
        assert _networks(made) == []


@contextmanager
def load(url: str) -> Iterator[Event]:
    """Chat with the stack from several clients; the event is set by each answer."""
    model = fetch(f"{url}/api/tags")["models"][0]["name"]
    question = {"model": model, "prompt": "Hello", "stream": False, "options": {"num_predict": 8}}
    answered, over = Event(), Event()

    def chat() -> None:
        while not over.is_set():
            # What is refused while a service is down is not what is looked at here.
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

    Not ``docker kill``: that counts as a wish, after which Docker restarts nothing.
    """
    subprocess.run(["docker", "exec", container, "sh", "-c", "kill -9 -1"], check=False)


def _kill_up(
    made: Stack, by: signal.Signals, *, when: str, and_once: Callable[[], bool] = lambda: True
) -> None:
    """Run ``make up``'s command until it prints something, then signal all of its processes."""
    up = subprocess.Popen(
        [".venv/bin/python", "-m", "ops.stack", "up"],
        cwd=made.folder,
        env=made.environ,
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


def _unlock(made: Stack) -> None:
    """Do what ``make up`` says where a lock was left, and where the state was cut off."""
    cancel = ("pulumi", "cancel", "--yes", "--stack", made.name, "--non-interactive")
    failed = made.run(*cancel)
    if "failed to load checkpoint" in failed.stderr:
        state = made.state / ".pulumi/stacks/frontier" / f"{made.name}.json"
        shutil.copy(f"{state}.bak", state)
        made.succeed(*cancel)


def _assert_complete(made: Stack) -> None:
    states = {name: inspect(name)["State"]["Health"]["Status"] for name in container_ids(made.name)}
    assert states == dict.fromkeys(
        map(made.container, (ENGINE, PROXY, PROMETHEUS, GRAFANA)), "healthy"
    )
    assert _networks(made) == [made.container("frontier")]
    assert made.planned() == {}
    made.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def _networks(made: Stack) -> list[str]:
    listed = docker("network", "ls", "--format", "{{.Name}}", "--filter", f"name={made.name}")
    return listed.split()


def _prometheus_time(outputs: dict[str, str]) -> str:
    """A moment at which Prometheus has a sample of the proxy."""
    found = _query(outputs, 'timestamp(up{job="mistral"} == 1)')
    return str(found[0]["value"][1]) if found else ""


def _up_at(outputs: dict[str, str], moment: str) -> bool:
    return bool(_query(outputs, 'up{job="mistral"}', time=moment))


def _query(outputs: dict[str, str], query: str, **more: str) -> list[Any]:
    asked = urlencode({"query": query, **more})
    answer = fetch(f"{outputs['prometheusUrl']}/api/v1/query?{asked}")
    return list(answer["data"]["result"])


def _grafana_folder(outputs: dict[str, str]) -> str:
    login = (outputs["grafanaUser"], outputs["grafanaAdminPassword"])
    return str(fetch(f"{outputs['grafanaUrl']}/api/folders/{FOLDER_UID}", login=login)["uid"])
