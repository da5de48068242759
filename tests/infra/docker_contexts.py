"""Docker contexts, written as the docker CLI writes them."""

import hashlib
import json
from pathlib import Path


def make_context(config: Path, name: str, host: str, *tls: str) -> str:
    """Write a context as ``docker context create`` does; return the folder of its TLS files."""
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / folder
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps(
            {
                "Name": name,
                "Metadata": {"Description": "x"},
                "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}},
            }
        ),
        encoding="utf-8",
    )
    materials = config / "contexts" / "tls" / folder / "docker"
    for file in tls:
        materials.mkdir(parents=True, exist_ok=True)
        (materials / file).write_text("PEM", encoding="utf-8")
    return str(materials)


def use(config: Path, name: str) -> None:
    """Make a context the current one, as ``docker context use`` does."""
    config.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"auths": {}, "currentContext": name} if name else {"auths": {}})
    (config / "config.json").write_text(text, encoding="utf-8")
