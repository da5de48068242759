"""The snippets of docs/reverse-proxy.md, each in a real reverse proxy in front of a real proxy.

Run with ``make test-reverse-proxies``; they need nginx, Caddy and Traefik on PATH.
"""

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.checkout import ROOT
from tests.processes import free_port
from tests.proxy.running import TIMEOUT_SECONDS, eventually, serving
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    stream,
)

pytestmark = pytest.mark.reverse_proxy

PAGE = (ROOT / "docs" / "reverse-proxy.md").read_text(encoding="utf-8")
HOST = "llm.example.org"
KEY = "0123456789abcdef"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


def _snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _replaced(text: str, replacements: dict[str, str]) -> str:
    """Replace what belongs to another machine; each text must be there."""
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Place:
    """Folder, ports and certificate of one reverse proxy."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.upstream = f"127.0.0.1:{upstream}"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "1"),
                *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
                *("-out", str(self.certificate), "-keyout", str(self.key)),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def files(self) -> dict[str, str]:
        """Return what stands for the certificate's files, by their paths on the page."""
        return {
            f"/etc/ssl/certs/{HOST}.pem": str(self.certificate),
            f"/etc/ssl/private/{HOST}.key": str(self.key),
        }


def _nginx(place: Place) -> list[str]:
    (snippet,) = _snippets("nginx")
    server = _replaced(
        snippet,
        {"127.0.0.1:11434": place.upstream, "listen 443": f"listen 127.0.0.1:{place.port}"}
        | place.files,
    )
    temporary = "\n".join(
        f"{kind}_temp_path {place.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = place.folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {place.folder}/pid; error_log stderr warn;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}\n{server}\n}}\n"
    )
    return ["nginx", "-p", str(place.folder), "-e", "stderr", "-c", str(config)]


def _caddy(place: Place) -> list[str]:
    (snippet,) = _snippets("caddyfile")
    site = _replaced(
        snippet,
        {
            f"{HOST} {{": f"{HOST}:{place.port} {{\n    tls {place.certificate} {place.key}",
            "127.0.0.1:11434": place.upstream,
        },
    )
    config = place.folder / "Caddyfile"
    config.write_text(
        f"{{\n    admin off\n    auto_https disable_redirects\n    default_bind 127.0.0.1\n"
        f"    storage file_system {place.folder}\n}}\n{site}"
    )
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


def _traefik(place: Place) -> list[str]:
    static, dynamic = _snippets("yaml")
    rules, config = place.folder / "llm.yml", place.folder / "traefik.yml"
    config.write_text(
        _replaced(static, {":443": f"127.0.0.1:{place.port}", "/etc/traefik/llm.yml": str(rules)})
    )
    rules.write_text(_replaced(dynamic, {"127.0.0.1:11434": place.upstream} | place.files))
    return ["traefik", f"--configfile={config}"]


REVERSE_PROXIES: dict[str, Callable[[Place], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
}


@contextmanager
def _running(command: list[str], place: Place) -> Iterator[httpx.Client]:
    """Run a reverse proxy; yield a client that trusts its certificate and uses its name."""
    program = shutil.which(command[0])
    assert program, f"{command[0]} is not on PATH: install it (or deselect it with -k)"
    log = place.folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"HOME": str(place.folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    trust = ssl.create_default_context(cafile=str(place.certificate))
    client = httpx.Client(
        base_url=f"https://127.0.0.1:{place.port}",
        headers={"Host": HOST, "Authorization": f"Bearer {KEY}"},
        verify=trust,
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )
    try:
        with client:
            serves = eventually(lambda: process.poll() is not None or _serves(client))
            assert serves, f"it doesn't answer:\n{log.read_text()}"
            assert process.poll() is None, log.read_text()
            yield client
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_SECONDS)


def _serves(client: httpx.Client) -> bool:
    try:
        return client.get("/livez", extensions=_NAMED).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


_NAMED: dict[str, Any] = {"sni_hostname": HOST}


@pytest.fixture(scope="module", name="engine")
def _engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as engine:
        yield engine


@pytest.fixture(scope="module", params=REVERSE_PROXIES, name="client")
def _client(
    request: pytest.FixtureRequest,
    engine: ScriptedEngine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    port = free_port()
    settings = {"API_KEY": KEY, "ALLOWED_HOSTS": HOST}
    with serving(port, engine.url, **settings):
        place = Place(tmp_path_factory.mktemp(request.param), port)
        with _running(REVERSE_PROXIES[request.param](place), place) as client:
            yield client


def _post(client: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:  # noqa: ANN401 - any JSON
    return client.post(path, json=body, headers=headers, extensions=_NAMED)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_every_chunk_arrives_before_the_engine_sends_the_next(
    client: httpx.Client, engine: ScriptedEngine, path: str
) -> None:
    gates = [threading.Event() for _ in range(3)]
    steps: list[bytes | threading.Event] = []
    for number, gate in enumerate(gates):
        steps += [delta_event(f"word{number} "), gate]
    engine.chat(stream(*steps, delta_event("", finish="stop"), DONE))
    request = {**CHAT, "stream": True}

    with client.stream("POST", path, json=request, extensions=_NAMED) as response:
        assert response.status_code == httpx.codes.OK
        lines = (line for line in response.iter_lines() if "word" in line)
        for number, gate in enumerate(gates):
            # It would wait for the engine, which waits for the gate.
            assert f"word{number} " in next(lines)
            gate.set()


def test_a_client_that_disconnects_stops_the_engine(
    client: httpx.Client, engine: ScriptedEngine
) -> None:
    engine.chat(stream(delta_event("word"), Step.STALL))
    before = len(engine.calls())
    with client.stream("POST", "/api/chat", json=CHAT, extensions=_NAMED) as response:
        assert "word" in next(response.iter_lines())
    (call,) = engine.calls()[before:]
    assert call.gone.wait(TIMEOUT_SECONDS)


def test_the_key_is_passed_on(client: httpx.Client) -> None:
    assert _post(client, "/api/show", {"model": MODEL}).status_code == httpx.codes.OK
    refused = _post(client, "/api/show", {"model": MODEL}, Authorization="Bearer wrong")
    assert refused.status_code == httpx.codes.UNAUTHORIZED


def test_pages_of_the_public_name_may_call_it_and_others_may_not(client: httpx.Client) -> None:
    """So the reverse proxy passes the name on."""
    own = _post(client, "/api/show", {"model": MODEL}, Origin=f"https://{HOST}")
    assert own.headers["access-control-allow-origin"] == f"https://{HOST}"
    other = _post(client, "/api/show", {"model": MODEL}, Origin="https://other.example.org")
    assert other.status_code == httpx.codes.FORBIDDEN


def test_a_large_request_is_passed_on_and_the_proxy_refuses_one_that_is_too_large(
    client: httpx.Client, engine: ScriptedEngine
) -> None:
    engine.chat(completion("ok"))
    large = {**CHAT, "stream": False, "messages": [{"role": "user", "content": "x" * 40_000_000}]}
    assert _post(client, "/api/chat", large).status_code == httpx.codes.OK
    refused = _reply_to_head(client, f"Content-Length: {60 * 1024 * 1024}")
    assert " 413 " in refused.splitlines()[0]
    assert "maxBodyMib" in refused


def _reply_to_head(client: httpx.Client, field: str) -> str:
    """Send the head of a request without its body, and return what comes back."""
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\n{field}\r\n\r\n"
    )
    address = ("127.0.0.1", client.base_url.port)
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as plain,
        trust.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall(head.encode())
        text = ""
        while "}" not in text:
            part = connection.recv(65536)
            assert part, text
            text += part.decode()
        return text
