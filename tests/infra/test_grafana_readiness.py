"""What is reported about a Grafana that can't be written to; with a real HTTP server."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import pytest

from infra.grafana_readiness import GrafanaCheck, Login, NotReadyError

ADMIN = Login("admin", "right", "reset it")
ACTIONS = "/api/access-control/user/actions"


class Serve(Protocol):
    def __call__(self, answers: dict[str, list[int]], body: str = "") -> str:
        """Start a server, which returns the body with every status, and return its URL."""


@pytest.fixture(name="serve")
def _serve() -> Iterator[Serve]:
    """Start a stand-in for Grafana that returns a path's statuses in order, then the last again."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, list[int]], body: str = "") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                statuses = answers.get(self.path, [404])
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                expected = "Basic " + base64.b64encode(b"admin:right").decode()
                if status == 200 and self.path != "/api/health":
                    status = 200 if self.headers["Authorization"] == expected else 401
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_no_representation_shows_the_password() -> None:
    assert "right" not in repr(GrafanaCheck("http://127.0.0.1:1", ADMIN))


def test_it_waits_until_grafana_is_healthy(serve: Serve) -> None:
    url = serve({"/api/health": [503, 503, 200], "/api/org": [200]})
    pauses: list[float] = []
    GrafanaCheck(url, ADMIN, pause=pauses.append).await_ready()
    assert len(pauses) == 2


def test_it_gives_up_at_the_deadline_and_says_why(serve: Serve) -> None:
    url = serve({"/api/health": [503]})
    ticks = iter([0.0, 5.0, 11.0])
    check = GrafanaCheck(url, ADMIN, pause=lambda _: None, clock=lambda: next(ticks))
    with pytest.raises(NotReadyError, match=r"not healthy after 10 s \(status 503\)"):
        check.await_ready(10)


def test_it_also_waits_for_a_grafana_that_refuses_connections() -> None:
    ticks = iter([0.0, 11.0])
    check = GrafanaCheck("http://127.0.0.1:1", ADMIN, clock=lambda: next(ticks))
    with pytest.raises(NotReadyError, match="refused"):
        check.await_ready(10)


@pytest.mark.parametrize(
    "login",
    [
        pytest.param(Login("admin", "wrong", "reset it"), id="password"),
        pytest.param(Login("", "stale", "reset it"), id="token"),
    ],
)
def test_a_refused_login_says_what_to_do(serve: Serve, login: Login) -> None:
    url = serve({"/api/health": [200], "/api/org": [200], "/api/folders/there": [200]})
    check = GrafanaCheck(url, login)
    with pytest.raises(NotReadyError, match=r"refuses the login.*reset it"):
        check.await_ready()
    with pytest.raises(NotReadyError, match=r"refuses the login.*reset it"):
        check.confirm_folder("there")


@pytest.mark.parametrize(
    ("path", "check", "what"),
    [
        ("/api/org", lambda check: check.await_ready(), "the organisation"),
        ("/api/datasources/uid/x", lambda check: check.require_datasource("x"), "data sources"),
        (
            "/api/v1/provisioning/alert-rules",
            lambda check: check.require_access(data_sources=False, rules=True),
            "alert rules",
        ),
        ("/api/folders/x", lambda check: check.confirm_folder("x"), "folders"),
    ],
)
def test_a_role_that_is_too_low_says_which_one_is_needed(
    serve: Serve, path: str, check: Callable[[GrafanaCheck], None], what: str
) -> None:
    url = serve({"/api/health": [200], path: [403]})
    with pytest.raises(NotReadyError, match=rf"role may not write {what}; .* the role Admin"):
        check(GrafanaCheck(url, ADMIN))


EDITOR = {"folders:create": True, "dashboards:create": True, "datasources:read": True}
OWN_WRITER = {"folders:write": True, "datasources:write": True}


@pytest.mark.parametrize(
    ("actions", "what"),
    [
        ({"folders:read": True}, "data sources"),
        (EDITOR, "data sources"),
        ({**OWN_WRITER, "folders:write": False}, "folders"),
    ],
    ids=["viewer", "editor", "no folders"],
)
def test_a_role_that_may_read_but_not_write_is_refused_before_anything_is_written(
    serve: Serve, actions: dict[str, bool], what: str
) -> None:
    check = GrafanaCheck(serve({ACTIONS: [200]}, json.dumps(actions)), ADMIN)
    with pytest.raises(NotReadyError, match=rf"role may not write {what}; .* the role Admin"):
        check.require_access(data_sources=True, rules=False)


@pytest.mark.parametrize(
    ("status", "body", "own_source"),
    [
        (200, json.dumps(EDITOR), False),
        (200, json.dumps(OWN_WRITER), True),
        (200, "not JSON", True),
        (404, "", True),
    ],
    ids=["editor with a given source", "custom role", "odd answer", "no such question"],
)
def test_a_login_that_may_write_what_is_needed_or_is_not_known_passes(
    serve: Serve,
    status: int,
    body: str,
    own_source: bool,  # noqa: FBT001 - of a table
) -> None:
    check = GrafanaCheck(serve({ACTIONS: [status]}, body), ADMIN)
    check.require_access(data_sources=own_source, rules=False)


def test_a_data_source_that_does_not_exist_is_refused(serve: Serve) -> None:
    url = serve({"/api/datasources/uid/there": [200]})
    check = GrafanaCheck(url, ADMIN)
    check.require_datasource("there")
    with pytest.raises(NotReadyError, match=r"no data source with the uid gone: set datasourceUid"):
        check.require_datasource("gone")


def test_a_missing_folder_means_that_the_content_is_lost(serve: Serve) -> None:
    url = serve({"/api/folders/there": [200]})
    check = GrafanaCheck(url, ADMIN)
    check.confirm_folder("there")
    with pytest.raises(NotReadyError, match=r"has lost its content.*pulumi refresh"):
        check.confirm_folder("gone")


def test_a_grafana_that_is_down_passes_the_check_for_lost_content() -> None:
    GrafanaCheck("http://127.0.0.1:1", ADMIN).confirm_folder("any")


def test_a_grafana_that_stops_answering_after_it_was_healthy_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for reply in (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0\r\n\r\n"):
                client, _ = server.accept()
                with client:
                    client.recv(65536)
                    client.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        check = GrafanaCheck(f"http://127.0.0.1:{server.getsockname()[1]}", ADMIN)
        with pytest.raises(NotReadyError, match=r"answer /api/org \(.*run `pulumi up` again"):
            check.await_ready()
        thread.join()
