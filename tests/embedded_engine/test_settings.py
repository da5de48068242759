"""Options, variables and defaults of the embedded engine."""

import subprocess
import sys
from pathlib import Path

import pytest

from embedded_engine.settings import EngineSettings, from_command_line
from tests.processes import ROOT


def settings(*arguments: str, **environ: str) -> EngineSettings:
    return from_command_line(arguments, environ)


def test_the_defaults_are_the_default_model_on_the_loopback_address() -> None:
    home = Path("~/.cache").expanduser()
    assert settings() == EngineSettings("", home / "frontier-mistral", "127.0.0.1", 8080)


def test_an_option_overrides_its_variable() -> None:
    environ = {"MODEL": "a", "MODEL_CACHE": "/a", "ENGINE_HOST": "::1", "ENGINE_PORT": "81"}
    assert settings(**environ) == EngineSettings("a", Path("/a"), "::1", 81)
    given = settings(
        *("--model", "b", "--cache", "/b", "--host", "0.0.0.0", "--port", "82"),
        **environ,
    )
    assert given == EngineSettings("b", Path("/b"), "0.0.0.0", 82)


def test_an_empty_variable_counts_as_unset() -> None:
    environ = {"MODEL": "", "MODEL_CACHE": "", "ENGINE_HOST": "", "ENGINE_PORT": ""}
    assert settings(**environ) == settings()


def test_the_cache_follows_xdg_when_its_path_is_absolute() -> None:
    assert settings(XDG_CACHE_HOME="/x").cache == Path("/x/frontier-mistral")
    assert settings(XDG_CACHE_HOME="x").cache == settings().cache


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "8080 "])
def test_a_port_out_of_range_is_named(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings(ENGINE_PORT=port)
    assert f"'{port}' isn't a port number (1 to 65535)" in capsys.readouterr().err


def test_the_settings_need_the_standard_library_only() -> None:
    """The Pulumi program reads them where neither Sanic nor the wheel is installed."""
    code = "import embedded_engine.settings, sys; print({'sanic', 'mistralrs'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
