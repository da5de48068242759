"""Names and ports that the whole project takes from ``infra``."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra import topology

ROOT = Path(__file__).parents[2]


def test_the_default_stack_has_plain_names_and_others_a_suffix() -> None:
    assert topology.physical_name("frontier-grafana", "dev") == "frontier-grafana"
    assert topology.physical_name("frontier-grafana", "two") == "frontier-grafana-two"


def test_members_have_the_documented_addresses() -> None:
    assert [member.target for member in topology.MEMBERS.values()] == [
        "mistral:8080",
        "frontier-mistral-ollama-proxy:11434",
        "prometheus:9090",
        "grafana:3000",
    ]


@pytest.mark.parametrize(
    "module",
    [
        "infra",
        "infra.topology",
        "infra.prometheus_config",
        "infra.image_digests",
        "infra.settings.checks",
        "infra.settings.types",
    ],
)
def test_operator_commands_can_import_names_without_pulumi(module: str) -> None:
    program = f"import sys, {module}; sys.exit('pulumi' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
