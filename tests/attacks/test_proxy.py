"""How the attacked proxy is run: within its limit, and as the stack runs it."""

import os
from pathlib import Path

from infra.components.proxy import MEMORY_MB
from infra.images import PROXY_USER
from tests.attacks.proxy import MIB, ProxyProcess, memory_of, run_options

SLEEPING = ("-c", "import threading; threading.Event().wait()")


def test_a_process_above_its_limit_is_killed_and_started_again(tmp_path: Path) -> None:
    """As Docker does it with a container."""
    proxy = ProxyProcess({}, tmp_path / "log", SLEEPING, limit_bytes=MIB)
    try:
        while not proxy.restarts().number:
            proxy.look()
        restarts = proxy.restarts()
    finally:
        proxy.close()

    assert restarts.last_end == "used more than 1 MiB of memory"


def test_the_peak_of_a_process_is_at_least_what_it_has_now() -> None:
    memory = memory_of(os.getpid())

    assert memory is not None
    assert memory.most >= memory.now > 0


def test_a_container_has_the_limit_and_the_restrictions_of_the_stacks() -> None:
    options = run_options("image", {"API_KEY": "key"})

    assert "--read-only" in options
    assert "--init" in options
    for name, value in {
        "--memory": f"{MEMORY_MB}m",
        "--memory-swap": f"{MEMORY_MB}m",
        "--user": PROXY_USER,
        "--cap-drop": "ALL",
        "--restart": "always",
        "--security-opt": "no-new-privileges:true",
        "--env": "API_KEY=key",
    }.items():
        assert options[options.index(name) + 1] == value
