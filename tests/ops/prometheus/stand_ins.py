"""Stand-ins for Prometheus' programs, which print a version and nothing else."""

from pathlib import Path

NAMES = ("prometheus", "promtool")


def put_programs(folder: Path, version: str, names: tuple[str, ...] = NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        script = f"#!/bin/sh\necho '{name}, version {version} (branch: HEAD, revision: 0)'\n"
        (folder / name).write_text(script, encoding="ascii")
        (folder / name).chmod(0o755)
