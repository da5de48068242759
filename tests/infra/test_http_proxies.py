"""Which requests go through an HTTP proxy of the environment, and that none for loopback do."""

import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.grafana_readiness import GrafanaCheck, Login, NotReadyError
from infra.http_proxies import loopback_exemption, opener, proxy_variable
from ops.clients import web
from tests.ops.local_http import Request, Response, serving

PROXY = {"HTTP_PROXY": "http://proxy.example:3128", "HTTPS_PROXY": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("url", "environ", "variable"),
    [
        ("http://box.example:3000", {}, None),
        ("http://box.example:3000", PROXY, "HTTP_PROXY"),
        ("https://box.example", PROXY, "HTTPS_PROXY"),
        ("https://box.example", {"HTTP_PROXY": "http://proxy.example"}, None),
        ("http://box.example", {"http_proxy": "http://proxy.example"}, "http_proxy"),
        ("http://box.example", {"HTTP_PROXY": "", "http_proxy": "p:1"}, "http_proxy"),
        ("http://127.0.0.1:3000", PROXY, None),
        ("http://127.8.8.8", PROXY, None),
        ("http://localhost:3000", PROXY, None),
        ("http://LOCALHOST", PROXY, None),
        ("http://[::1]:3000", PROXY, None),
        ("http://192.0.2.7:3000", PROXY, "HTTP_PROXY"),
    ],
)
def test_loopback_is_asked_directly(
    url: str, environ: Mapping[str, str], variable: str | None
) -> None:
    assert proxy_variable(url, environ) == variable


@pytest.mark.parametrize(
    ("exempt", "host", "goes_directly"),
    [
        ("*", "box.example", True),
        ("box.example", "box.example", True),
        ("box.example", "BOX.example", True),
        ("box.example", "my.box.example", True),
        ("box.example", "mybox.example", False),
        (".example", "box.example", True),
        (".box.example", "box.example", False),
        ("*.example", "box.example", True),
        ("other.example, box.example", "box.example", True),
        ("box.example:3000", "box.example:3000", True),
        ("box.example:3001", "box.example:3000", False),
        ("box.example:80", "box.example", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.70", False),
        ("192.0.2.0/24", "192.0.2.7:3000", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("192.0.2.0/24", "box.example", False),
        ("[fd00::7]:3000", "[fd00::7]:3000", True),
        ("fd00::7", "[fd00::7]:3000", True),
        ("fd00::/8", "[fd00::7]", True),
        ("box/example", "box.example", False),
        ("", "box.example", False),
        (",", "box.example", False),
        (":3000", "box.example:3000", False),
    ],
)
def test_no_proxy_is_read_as_go_does(exempt: str, host: str, *, goes_directly: bool) -> None:
    for variable in ("NO_PROXY", "no_proxy"):
        used = proxy_variable(f"http://{host}", {**PROXY, variable: exempt})
        assert (used is None) is goes_directly


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({}, None),
        ({"NO_PROXY": "box.example"}, None),
        ({"https_proxy": "http://p:1"}, "localhost,127.0.0.1,::1"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "a,b"}, "a,b,localhost,127.0.0.1,::1"),
        ({**PROXY, "NO_PROXY": "a", "no_proxy": "b"}, "a,localhost,127.0.0.1,::1"),
    ],
)
def test_pulumi_reaches_its_program_in_spite_of_an_http_proxy(
    environ: Mapping[str, str], hosts: str | None
) -> None:
    expected = {} if hosts is None else {"NO_PROXY": hosts, "no_proxy": hosts}
    assert loopback_exemption(environ) == expected


@contextmanager
def forwarding(seen: list[Request]) -> Iterator[str]:
    """Serve as an HTTP proxy that answers everything itself."""

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response(200, b"{}")

    with serving(answer) as url:
        yield url


def test_the_login_of_a_grafana_on_loopback_is_sent_to_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Request] = []
    with forwarding(seen) as proxy:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, proxy)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        check = GrafanaCheck(
            "http://127.0.0.1:1", Login("admin", "word", ""), clock=iter([0.0, 99.0]).__next__
        )
        with pytest.raises(NotReadyError, match="refused"):
            check.await_ready()
        check.confirm_folder("any")
        with pytest.raises(web.UnreachableError):
            web.get("http://localhost:1/api/health")
    assert seen == []


def test_a_server_elsewhere_is_asked_through_the_proxy() -> None:
    seen: list[Request] = []
    with forwarding(seen) as proxy:
        url = "http://grafana.example/api/health"
        with opener(url, {"HTTP_PROXY": proxy}).open(url, timeout=5) as reply:
            assert reply.status == 200
    assert [request.path for request in seen] == ["http://grafana.example/api/health"]


@pytest.mark.parametrize(
    ("host", "received"), [("127.0.0.1", "Bearer secret"), ("localhost", None)]
)
def test_a_redirect_to_another_host_does_not_get_the_login(host: str, received: str | None) -> None:
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            moved = self.path == "/"
            if not moved:
                seen.append(self.headers["Authorization"])
            self.send_response(302 if moved else 200)
            self.send_header("Location", f"http://{host}:{server.server_port}/there")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        request = urllib.request.Request(url, headers={"Authorization": "Bearer secret"})
        with opener(url, {}).open(request, timeout=5):
            pass
        server.shutdown()
    assert seen == [received]
