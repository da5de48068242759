"""Docker contexts, written as the docker CLI writes them, and a stand-in for a Docker Engine."""

import hashlib
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
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


@contextmanager
def engine(socket: Path, body: bytes) -> Iterator[str]:
    """Serve as a Docker Engine on a Unix socket; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/info" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def address_string(self) -> str:
            return "local"

    with socketserver.ThreadingUnixStreamServer(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"unix://{socket}"
        server.shutdown()
        thread.join()
