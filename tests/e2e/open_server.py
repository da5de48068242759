"""A server that lets every page do everything."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Received = Counter[tuple[str, str]]


@contextmanager
def open_server() -> Iterator[tuple[str, Received]]:
    """Yield its URL, and how many requests it has received, by method and type of body."""
    received: Received = Counter()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = self.headers.get("Content-Type", "").partition(";")[0]
            received[self.command, kind] += 1
            self.send_response(200)
            for name, value in {
                "Access-Control-Allow-Origin": self.headers.get("Origin", "*"),
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
                "Access-Control-Allow-Methods": "POST, DELETE",
                "Content-Type": "text/plain",
                "Content-Length": "4",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"open")

        do_GET = do_POST = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - as in the base class

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
