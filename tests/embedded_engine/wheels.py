"""A model package made up for tests: a wheel with a file of a few bytes in it."""

import hashlib
import zipfile
from pathlib import Path

from embedded_engine.settings import PackagedModel

CONTENT = b"GGUF, or so it says: " + bytes(range(256))
MEMBER = "example_model/example.gguf"
PACKAGE = "example-model"


def packaged_model(content: bytes = CONTENT) -> PackagedModel:
    return PackagedModel(
        model_id="example",
        package=PACKAGE,
        version="1.0.0",
        member=MEMBER,
        sha256=hashlib.sha256(content).hexdigest(),
        wheel_bytes=len(content),
        sampling={"temperature": 0.5},
    )


def write_wheel(folder: Path, content: bytes = CONTENT, *, member: str = MEMBER) -> Path:
    """Write a wheel that pip accepts and that asks for a package that no index has."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "example_model-1.0.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0.0\n"
    path = folder / "example_model-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("example_model/__init__.py", "raise ImportError('never run this')\n")
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", metadata + "Requires-Dist: no-such-package-anywhere\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path
