"""Made-up model packages: wheels with parts of a file that is a few bytes long."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from embedded_engine.settings import PackagedModel

CONTENT = b"GGUF, or so it says: " + bytes(range(256))
PACKAGE = "made-up-model"


def packaged_model(content: bytes = CONTENT) -> PackagedModel:
    return PackagedModel(
        model_id="made-up",
        package=PACKAGE,
        version="1.0.0",
        file_name="made-up.gguf",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        chat_template="gemma3.jinja",
        chat_stop=(),
        temperature=1.0,
    )


def split(content: bytes, count: int) -> list[bytes]:
    size = -(-len(content) // count)
    return [content[at : at + size] for at in range(0, len(content), size)]


def write_wheel(
    folder: Path, name: str, files: Mapping[str, bytes], requires: tuple[str, ...] = ()
) -> Path:
    """Write a wheel that pip accepts."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n"
    metadata += "".join(f"Requires-Dist: {other}==1.0.0\n" for other in requires)
    path = folder / f"{module}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(f"{module}/data/{file}", data)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def write_parts(folder: Path, parts: list[bytes], *, file_name: str = "made-up.gguf") -> list[Path]:
    """Write the package and one package per part, as the real ones are."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{PACKAGE}-part{number + 1}" for number in range(len(parts))]
    wheels = [
        write_wheel(folder, name, {f"{file_name}.part{number:02}": part})
        for number, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    return [write_wheel(folder, PACKAGE, {}, requires=tuple(names)), *wheels]
