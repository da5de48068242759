"""How files with certificate authorities are read."""

from pathlib import Path

import pytest

from infra.certificate_authorities import read_authorities
from tests.infra.certificates import AUTHORITY


@pytest.mark.parametrize(
    "text", [AUTHORITY, AUTHORITY.replace("\n", "\r\n"), f"# Főtanúsítvány\n{AUTHORITY}\n"]
)
def test_a_file_in_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_text(text, encoding="utf-8", newline="")
    assert AUTHORITY in read_authorities("~/ca.pem")


def test_a_certificate_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(AUTHORITY + AUTHORITY[:300], encoding="utf-8")
    with pytest.raises(ValueError, match=r"ca\.pem' has no certificates in PEM format: "):
        read_authorities(str(file))
