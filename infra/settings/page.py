"""``python -m infra.settings.page``: write ``docs/settings.md`` from ``Pulumi.yaml``.

``Pulumi.yaml`` has each setting's name, default and meaning. Its schema has room for neither groups
nor examples, so those are in ``GROUPS`` below; tests check that the two match.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "settings.md"

# The page's groups, in its order: each setting with an example of its value.
#
# ``{default}`` stands for the setting's default. A secret's example is None, since nobody should
# copy one.
GROUPS: Mapping[str, Mapping[str, str | None]] = {
    "Engine": {
        "engine": "external",
        "mistralUrl": "http://host.docker.internal:8080",
        "model": "/srv/models/my-model",
        "modelDetails": '{"my-model": {"context_length": 8192}}',
        "quantization": "4",
        "hfToken": None,
        "gpus": "device=0,1",
        "engineMemoryMb": "16384",
        "engineWaitSeconds": "3600",
    },
    "Proxy": {
        "proxyPort": "11500",
        "maxConcurrentRequests": "64",
        "maxQueuedRequests": "1000",
    },
    "Access": {
        "bindAddress": "0.0.0.0",  # noqa: S104 - an example, bound by nothing here
        "advertisedHost": "llm.example.org",
        "apiKey": None,
        "allowUnauthenticated": "true",
    },
    "Monitoring": {
        "prometheus": "external",
        "prometheusUrl": "https://prometheus.example.org",
        "prometheusPort": "9091",
        "prometheusRetention": "90d",
        "grafana": "external",
        "grafanaUrl": "https://grafana.example.org",
        "grafanaToken": None,
        "grafanaPort": "3001",
        "grafanaAdminPassword": None,
        "grafanaRules": "before-12",
        "datasourceUrl": "http://prometheus.internal.example.org:9090",
    },
    "Alerts": {
        "alertThresholds": '{"highLatencySeconds": 8}',
        "runbookBaseUrl": "https://github.com/you/your-fork/blob/main/docs/runbooks",
        "alertWebhookUrl": None,
        "alertSlackUrl": None,
        "alertEmails": "ops@example.org,oncall@example.org",
        "smtpHost": "mail.example.org:587",
        "smtpFrom": "grafana@example.org",
        "smtpUser": "grafana",
        "smtpPassword": None,
    },
    "Images": {
        "mistralrsImage": "ghcr.io/ericlbuehler/mistral.rs:cuda-sm89-0.9.4",
        "prometheusImage": "registry.example.org/{default}",
        "grafanaImage": "registry.example.org/{default}",
        "pythonImage": "registry.example.org/{default}",
        "useDigests": "false",
    },
    "Docker": {
        "platform": "linux/arm64",
        "dockerHost": "ssh://user@gpu.example.org",
        "waitSeconds": "300",
        "protectData": "true",
    },
}

INTRODUCTION = """\
# Settings

<!-- Generated from Pulumi.yaml by `make render`; edit that file. -->

These are all the settings of the stack that `make up` starts. Set one as its example shows, or by
hand in `Pulumi.dev.yaml` (for the stack `dev`) under `config:`, as `frontier:SETTING`. `make up`
applies it. If `make up` installed Pulumi or keeps the stack's state in this folder, run
`eval "$(make env)"` before the first `pulumi` command.

A command without a value prompts for it, which keeps secrets out of the shell's history. The
stack refuses secrets that are stored in plain text. All invalid settings are reported in one
error, before anything is changed.
"""


def page(project: Mapping[str, Any]) -> str:
    """Render the page.

    Args:
        project: The parsed ``Pulumi.yaml``; each value under ``config`` is a schema mapping.

    Returns:
        Markdown, with a table for each group.
    """
    declared = project["config"]
    tables = [f"## {group}\n\n{_table(examples, declared)}" for group, examples in GROUPS.items()]
    return "\n".join([INTRODUCTION, *tables])


def _table(examples: Mapping[str, str | None], declared: Mapping[str, Any]) -> str:
    rows = ["| Setting | Default | Meaning | Example |", "| --- | --- | --- | --- |"]
    rows += [_row(name, declared[name], example) for name, example in examples.items()]
    return "\n".join(rows) + "\n"


def _row(name: str, schema: Mapping[str, Any], example: str | None) -> str:
    meaning = " ".join(schema["description"].split())
    default = f"`{schema['default']}`" if schema["default"] else "none"
    if example is not None:
        example = example.replace("{default}", schema["default"])
    cells = (f"`{name}`", default, meaning, f"`{command(name, example)}`")
    # A vertical bar would end the cell, even in code.
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def command(name: str, value: str | None) -> str:
    """Return the shell command that sets a setting; without a value, one that asks for a secret."""
    if value is None:
        return f"pulumi config set --secret {name}"
    return f"pulumi config set {name} {shlex.quote(value)}"


def main() -> None:
    """Write the page."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    PAGE.write_text(page(project), encoding="utf-8")


if __name__ == "__main__":
    main()
