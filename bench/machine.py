"""What the benchmark needs of the machine, and how the results describe it."""

import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".run" / "bench"
_TOOLS = {"cc": "gcc", "nginx": "nginx-light", "wrk": "wrk"}
# One core for the subject, the other for the engine and the load.
CORES_NEEDED = 2
_NICENESS = -20


class BenchError(Exception):
    """The benchmark can't continue; the message says what to do."""


def require_machine() -> None:
    """Check that the benchmark can run here.

    Raises:
        BenchError: Something is missing; the message names the Debian packages.
    """
    if sys.platform != "linux":
        raise BenchError("the benchmark needs Linux: it reads /proc and uses epoll")
    if len(os.sched_getaffinity(0)) < CORES_NEEDED:
        raise BenchError(
            f"the benchmark needs {CORES_NEEDED} cores, or the load would slow down the subject"
        )
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise BenchError(f"tools are missing; run: apt-get install {' '.join(missing)}")


def cores() -> tuple[int, int]:
    """Return the core of the engine and the load, and the core of the subject."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second


def raise_priority(pid: int) -> None:
    """Give a process priority over the machine's other work, where that is allowed.

    Linux may schedule each session as a group (autogroup). Between groups only the niceness of the
    group counts, so this sets both.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICENESS))


def describe() -> dict[str, object]:
    """Describe the machine and the versions of the software."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "virtual": "hypervisor" in _cpuinfo(),
        "kernel": platform.release(),
        "python": sys.version,
        "nginx": _first_line("nginx", "-v").rpartition("/")[2],
        "wrk": _first_line("wrk", "-v").split(" [")[0],
        "sanic": version("sanic"),
        "cores_busy_with_other_work": round(busy_cores(), 2),
    }


def busy_cores() -> float:
    """Return how many cores are busy, over two seconds. Before a run, that is other work."""
    before, started = _busy_ticks(), time.monotonic()
    time.sleep(2)
    ticks = _busy_ticks() - before
    return ticks / os.sysconf("SC_CLK_TCK") / (time.monotonic() - started)


def _busy_ticks() -> int:
    user, nice, system, _, _, irq, softirq, steal, *_ = (
        int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return user + nice + system + irq + softirq + steal


def compile_tool(name: str) -> Path:
    """Compile ``bench/NAME.c`` if it has changed, and return the program's path."""
    source, binary = ROOT / "bench" / f"{name}.c", WORK / name
    WORK.mkdir(parents=True, exist_ok=True)
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)  # noqa: S603, S607
    return binary


def installed(program: str) -> Path:
    """Return a program from ``bench/requirements.txt``, which is installed if it has changed."""
    folder = WORK / "venv"
    lock = ROOT / "bench" / "requirements.txt"
    installed_lock = folder / "installed-requirements.txt"
    if not installed_lock.exists() or installed_lock.read_bytes() != lock.read_bytes():
        sys.stderr.write("installing bench/requirements.txt into .run/bench/venv …\n")
        venv.create(folder, clear=True, with_pip=True)
        pip = str(folder / "bin" / "pip")
        install = [pip, "install", "--quiet", "--require-hashes", "-r", str(lock)]
        subprocess.run(install, check=True)  # noqa: S603
        shutil.copyfile(lock, installed_lock)
    return folder / "bin" / program


def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text()


def _cpu_model() -> str:
    lines = (line.partition(":") for line in _cpuinfo().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), "?")


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout + done.stderr).splitlines()[0]
