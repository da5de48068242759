"""The syntax of model names: what Ollama accepts, compares and lists."""

import re

_LATEST = ":latest"
# What Ollama adds to a short name: its registry and its own namespace.
_DEFAULT_PARTS = ("https://", "http://", "registry.ollama.ai/", "library/")
# Ollama's tag for a model that doesn't run in its cloud (`internal/modelref`).
_LOCAL = ":local"
# Ollama's `types/model`: host, namespace, model and tag, each with its own letters and length.
_NAME = re.compile(
    r"(?:(?:(?:[a-z]+://)?\w[\w.:-]{0,349}/)?\w[\w-]{0,79}/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?",
    re.ASCII,
)


def fold_name(name: str) -> str:
    """Reduce a name to what Ollama compares: case, defaults and ``:latest`` don't matter."""
    name = name.strip().lower()
    for part in _DEFAULT_PARTS:
        name = name.removeprefix(part)
    return name.removesuffix(_LOCAL).removesuffix(_LATEST)


def is_valid_name(name: str) -> bool:
    """Return whether Ollama would accept ``name`` as the name of a model."""
    return _NAME.fullmatch(name.strip()) is not None


def with_tag(name: str) -> str:
    """Return a name as Ollama lists it: always with a tag."""
    return name if ":" in name.rsplit("/", 1)[-1] else name + _LATEST
