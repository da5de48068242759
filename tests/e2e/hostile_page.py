"""A web page in a real browser that tries everything to use a server of this machine."""

import http.server
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Frame, Page, Request

EVIL = "evil.example"
"""The page's host, which leads to this machine."""
FLAGS = (
    # In place of a DNS server.
    f"--host-resolver-rules=MAP {EVIL} 127.0.0.1",
    # Newer versions of Chromium keep other sites' pages from this machine; other browsers don't.
    "--disable-features=LocalNetworkAccessChecks",
)

_ATTACK = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_PAGE = "<!doctype html><title>A page</title><body>"
# Its requests have the origin "null".
_SANDBOX = f"{_PAGE}<iframe sandbox='allow-scripts allow-forms' src='/'></iframe>"
_PAUSE = 50.0


@dataclass(frozen=True)
class Write:
    """A request that would change something, or cost something."""

    url: str
    body: str
    method: str = "POST"


@dataclass(frozen=True)
class Read:
    """What the page has read: in which way, where, and the beginning of it."""

    way: str
    url: str
    status: int
    text: str


@contextmanager
def hostile_site() -> Iterator[str]:
    """Serve pages of another origin; yield its URL."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (_SANDBOX if self.path == "/sandbox" else _PAGE).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{EVIL}:{server.server_port}"
        finally:
            server.shutdown()


def attack_from_another_origin(
    context: BrowserContext, site: str, reads: Sequence[str], writes: Sequence[Write]
) -> list[Read]:
    """Try everything from a page of another origin, and from a frame without an origin."""
    found = []
    for path in ("/", "/sandbox"):
        page = context.new_page()
        with _settled(page):
            page.goto(site + path)
            found += _attack(page.frames[-1], reads, writes)
        page.close()
    for write in writes:
        _submit(context, site, write)
    return found


def attack_after_rebinding(
    context: BrowserContext, reads: Sequence[str], writes: Sequence[Write]
) -> list[Read]:
    """Try everything from pages whose name now leads to the servers themselves.

    For the browser they have the same origin as what they try to reach. That takes a name with a
    short lifetime, which leads to the attacker's machine at first; here, the first page of each
    origin is put in by the browser.
    """
    found = []
    for origin in sorted({urlsplit(url).netloc for url in reads}):
        page = context.new_page()
        there = f"http://{EVIL}:{urlsplit(f'//{origin}').port}"
        first = f"{there}/first-page"
        page.route(first, lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
        with _settled(page):
            page.goto(first)
            found += _attack(
                page.main_frame,
                [_at(there, url) for url in reads if urlsplit(url).netloc == origin],
                [
                    Write(_at(there, write.url), write.body, write.method)
                    for write in writes
                    if urlsplit(write.url).netloc == origin
                ],
            )
        page.close()
    return found


def _at(there: str, url: str) -> str:
    parts = urlsplit(url)
    return f"{there}{parts._replace(scheme='', netloc='').geturl()}"


def _attack(frame: Frame, reads: Sequence[str], writes: Sequence[Write]) -> list[Read]:
    tried = {"reads": list(reads), "writes": [asdict(write) for write in writes]}
    found: list[dict[str, Any]] = frame.evaluate(_ATTACK, tried)
    return [Read(**one) for one in found]


def _submit(context: BrowserContext, site: str, write: Write) -> None:
    """Leave the page by a form that is sent to the server: cookies are sent with that, if ever."""
    if write.method != "POST":
        return
    page = context.new_page()
    page.goto(site)
    with _settled(page), page.expect_event("framenavigated"):
        page.evaluate(
            """({url, body}) => {
                const form = document.createElement("form");
                Object.assign(form, {action: url, method: "POST", enctype: "text/plain"});
                const name = body.replace(/}$/, ', "x": "');
                form.append(Object.assign(document.createElement("input"), {name, value: '"}'}));
                document.body.append(form);
                form.submit();
            }""",
            {"url": write.url, "body": write.body},
        )
    page.close()


@contextmanager
def _settled(page: Page) -> Iterator[None]:
    """Wait at the end until every request of the page has ended, also what it doesn't wait for."""
    running: set[Request] = set()

    def begin(request: Request) -> None:
        running.add(request)

    def end(request: Request) -> None:
        running.discard(request)

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    yield
    while running:
        page.wait_for_timeout(_PAUSE)
