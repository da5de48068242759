"""What the tests of several commands need."""

from pathlib import Path

import pytest

from ops.checkout import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project folder with this project's settings and nothing else."""
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    return tmp_path
