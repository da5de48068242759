"""The commands on a stack in a folder of its own, with a runner that only records."""

import json
from collections.abc import Mapping
from pathlib import Path

from ops.processes.runner import Result
from ops.pulumi.settings import read_stack_config
from ops.stack.commands import Operator
from tests.ops.scripted_runner import ScriptedRunner

OUTPUTS = {
    "proxyUrl": "http://127.0.0.1:11434",
    "metricsUrl": "http://127.0.0.1:11434/metrics",
    "grafanaUrl": "http://127.0.0.1:3000",
    "grafanaUser": "admin",
    "grafanaAdminPassword": "changeme",
}


def operator(
    root: Path,
    runner: ScriptedRunner,
    environ: Mapping[str, str] | None = None,
    *,
    stack: str = "dev",
) -> Operator:
    def install_nothing(_folder: Path) -> None:
        raise OSError("no network here")

    return Operator(
        read_stack_config(root, stack), runner, root, environ or {}, install_cli=install_nothing
    )


def configure(root: Path, **settings: object) -> None:
    config = {f"frontier:{name}": value for name, value in settings.items()}
    (root / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))


def state(**deployment: object) -> dict[str, Result]:
    return {"pulumi stack export": Result(0, json.dumps({"deployment": deployment}))}
