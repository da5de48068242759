"""The documents' claims match the project."""

import re

import yaml

from infra.prometheus_config import proxy_scrape_config
from monitoring.names import SCRAPE_INTERVAL_SECONDS
from ops.checkout import ROOT

README = (ROOT / "README.md").read_text()
STACK = (ROOT / "docs" / "stack.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_relative_link_leads_somewhere() -> None:
    """No document links to a file that is not there."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)} -> {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
        if not link.startswith(("http:", "https:")) and not (document.parent / link).exists()
    ]

    assert broken == []


def test_each_coding_agent_is_explained_in_at_most_ten_lines() -> None:
    """Without the heading and blank lines."""
    _, *agents = (ROOT / "docs" / "clients.md").read_text().split("\n## ")
    lengths = {
        name: len([line for line in text.splitlines() if line.strip()])
        for name, _, text in (agent.partition("\n") for agent in agents)
    }

    assert len(lengths) == 8
    assert [name for name, lines in lengths.items() if lines > 10] == []


def test_the_documented_scrape_job_matches_the_stacks() -> None:
    """The job that a reader copies makes the same series as the stack's own Prometheus."""
    (shown,) = re.findall(r"```yaml\n(- job_name: mistral\n.*?)```", STACK, re.DOTALL)
    rendered = proxy_scrape_config(
        proxy_target="HOST:11434",
        proxy_key_file=None,
        scrape_interval_seconds=SCRAPE_INTERVAL_SECONDS,
    )

    assert yaml.safe_load(shown) == yaml.safe_load(rendered)["scrape_configs"]


def test_every_file_that_is_named_in_full_exists() -> None:
    """Any path in backticks, such as `infra/stack.py`, is checked, but not what runs write."""
    written = (".run", ".tools", ".venv")
    folders = "|".join(
        entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name not in written
    )
    text = README + CONTRIBUTING
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    made = {"alerts/mistral-alerts.yml", "dashboards/mistral-metrics.json"}

    assert made <= set(named)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_make_target_in_the_documents_exists() -> None:
    """A command shown to a reader can be run."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)", README + CONTRIBUTING))

    assert named <= targets


def test_the_images_that_a_restore_uses_are_the_settings_defaults() -> None:
    """They change together with the settings."""
    named = re.findall(r"[\w./-]+:v?\d+(?:\.\d+)+", (ROOT / "docs" / "backup.md").read_text())
    settings = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]

    assert named == [settings[name]["default"] for name in ("prometheusImage", "grafanaImage")]
