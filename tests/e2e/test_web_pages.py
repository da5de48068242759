"""Foreign web pages in a real browser on the stack's machine: what they can read and change."""

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from monitoring.names import DATASOURCE_UID
from tests.e2e.browser import started_browser
from tests.e2e.conftest import with_ports
from tests.e2e.harness import address_in_docker, eventually, fetch, fetch_text, new_stack
from tests.e2e.hostile_page import (
    FLAGS,
    Read,
    Write,
    attack_after_rebinding,
    attack_from_another_origin,
    hostile_site,
)
from tests.e2e.open_server import open_server
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

pytestmark = pytest.mark.e2e

PROXY_READS: Final = ("/", "/livez", "/api/tags", "/api/ps", "/v1/models", "/metrics")
PROMETHEUS_READS: Final = (
    "/metrics",
    "/api/v1/query?query=up",
    "/api/v1/status/config",
    "/api/v1/targets",
    "/federate?match[]=up",
)
# What Grafana answers before it looks at the host name.
GRAFANA_STATUS: Final = {"/api/health", "/healthz", "/metrics"}
GRAFANA_READS: Final = (
    *sorted(GRAFANA_STATUS),
    "/",
    "/login",
    "/api/org",
    "/api/user",
    "/api/datasources",
    "/api/frontend/settings",
    f"/api/datasources/proxy/uid/{DATASOURCE_UID}/api/v1/query?query=up",
    "/api/live/ws",
)
CHAT: Final = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
Requests = Sequence[tuple[str, str, object]]

PROXY_WRITES: Final[Requests] = (
    ("POST", "/api/chat", CHAT),
    ("POST", "/api/generate", {"model": MODEL, "prompt": "Hello"}),
    ("POST", "/api/embed", {"model": MODEL, "input": "Hello"}),
    ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/completions", {"model": MODEL, "prompt": "Hello"}),
    ("POST", "/v1/embeddings", {"model": MODEL, "input": "Hello"}),
    ("POST", "/api/pull", {"model": MODEL}),
    ("DELETE", "/api/delete", {"model": MODEL}),
)
PROMETHEUS_WRITES: Final[Requests] = (
    ("POST", "/-/quit", {}),
    ("POST", "/-/reload", {}),
    ("POST", "/api/v1/admin/tsdb/delete_series?match[]=up", {}),
    ("POST", "/api/v1/query?query=up", {}),
)
USER: Final = {"name": "evil", "login": "evil", "password": "evil-password"}
GRAFANA_WRITES: Final[Requests] = (
    ("POST", "/login", {"user": "admin", "password": "changeme"}),
    ("POST", "/api/admin/users", USER),
    ("POST", "/api/datasources", {"name": "evil", "type": "prometheus", "access": "proxy"}),
    ("POST", "/api/snapshots", {"dashboard": {"uid": "evil"}}),
    ("PUT", "/api/user/password", {"oldPassword": "changeme", "newPassword": "evil-password"}),
    ("DELETE", f"/api/datasources/uid/{DATASOURCE_UID}", {}),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser(*FLAGS) as browser:
        yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with hostile_site() as url:
        yield url


class Attacked:
    """A stack with a scripted engine."""

    def __init__(self, outputs: Mapping[str, str], engine: ScriptedEngine) -> None:
        self.outputs = outputs
        self.engine = engine
        self.proxy = outputs["proxyUrl"]
        self.prometheus = outputs["prometheusUrl"]
        self.grafana = outputs["grafanaUrl"]

    def reads(self) -> list[str]:
        return [
            *(self.proxy + path for path in PROXY_READS),
            *(self.prometheus + path for path in PROMETHEUS_READS),
            *(self.grafana + path for path in GRAFANA_READS),
        ]

    def writes(self) -> list[Write]:
        return [
            *_writes(self.proxy, PROXY_WRITES),
            *_writes(self.prometheus, PROMETHEUS_WRITES),
            *_writes(self.grafana, GRAFANA_WRITES),
        ]

    def state(self) -> dict[str, Any]:
        """Return all that an attack could change: what was generated, samples, content, logins."""
        answered = [
            line
            for line in fetch_text(self.outputs["metricsUrl"]).splitlines()
            if line.startswith("mistral_http_requests_total{") and 'status="success"' in line
        ]
        runtime = fetch(f"{self.prometheus}/api/v1/status/runtimeinfo")["data"]
        return {
            "answered by the proxy": [line for line in answered if not line.endswith(" 0.0")],
            "received by the engine": {
                (request.method, request.path) for request in self.engine.received
            },
            "Prometheus": [runtime["startTime"], runtime["lastConfigTime"]],
            "jobs": len(fetch(f"{self.prometheus}/api/v1/query?query=up")["data"]["result"]),
            **{
                path: sorted(one[key] for one in self.ask_grafana(path))
                for path, key in {
                    "/api/user/auth-tokens": "id",
                    "/api/org/users": "login",
                    "/api/datasources": "uid",
                    "/api/search": "uid",
                }.items()
            },
        }

    def ask_grafana(self, path: str) -> Any:  # noqa: ANN401 - JSON
        login = (self.outputs["grafanaUser"], self.outputs["grafanaAdminPassword"])
        return fetch(f"{self.grafana}{path}", login=login)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with ScriptedEngine(host=address_in_docker()) as engine:
        url = f"http://host.docker.internal:{engine.port}"
        settings = with_ports({"engine": "external", "mistralUrl": url})
        with new_stack(tmp_path_factory.mktemp("attacked"), settings) as stack:
            stack.up()
            attacked = Attacked(stack.outputs(), engine)
            query = f"{attacked.prometheus}/api/v1/query?query=up"
            eventually(lambda: len(fetch(query)["data"]["result"]) > 2)
            yield attacked


def test_a_page_reads_and_changes_everything_where_nothing_stops_it(
    browser: Browser, site: str
) -> None:
    """Otherwise the tests below would prove nothing."""
    ways = {"fetch", "fetch with a login", "XMLHttpRequest", "JSON", "JSON with a login", "text"}
    with open_server() as (url, received), browser.new_context() as context:
        writes = [Write(f"{url}/write", "{}"), Write(f"{url}/write", "{}", "DELETE")]
        found = attack_from_another_origin(context, site, [f"{url}/read"], writes)
        assert ways <= {read.way for read in found}
        # Each of them from a page and from a frame without an origin; the last one by leaving.
        assert received["POST", "application/json"] == 2 * 4
        assert received["POST", "text/plain"] == 2 * 5 + 1
        assert received["DELETE", "application/json"] == 2 * 3
        found = attack_after_rebinding(context, [f"{url}/read"], writes)
        assert ways | {"frame", "form as text/plain"} <= {read.way for read in found}


def test_a_page_of_another_origin_gets_nothing(
    browser: Browser, site: str, attacked: Attacked
) -> None:
    """Not even if the browser is logged in to Grafana."""
    with browser.new_context() as context:
        login = {"user": "admin", "password": attacked.outputs["grafanaAdminPassword"]}
        assert context.request.post(f"{attacked.grafana}/login", data=login).ok
        before = attacked.state()
        reads, writes = attacked.reads(), attacked.writes()
        reads += map(_by_other_name, attacked.reads())
        writes += [
            Write(_by_other_name(write.url), write.body, write.method)
            for write in attacked.writes()
        ]
        assert attack_from_another_origin(context, site, reads, writes) == []
        assert attacked.state() == before


def test_a_page_whose_name_leads_here_gets_only_what_needs_no_login(
    browser: Browser, attacked: Attacked
) -> None:
    """Prometheus accepts any host name; Grafana answers a few paths before it looks at the name."""
    with browser.new_context() as context:
        before = attacked.state()
        found = attack_after_rebinding(context, attacked.reads(), attacked.writes())
        assert attacked.state() == before
        assert context.cookies() == []
    readable = {(_port(read.url), urlsplit(read.url).path) for read in found if _is_data(read)}
    prometheus, grafana = _port(attacked.prometheus), _port(attacked.grafana)
    assert {one for one in readable if one[0] != prometheus} == {
        (grafana, path) for path in GRAFANA_STATUS
    }


def _writes(base: str, requests: Requests) -> Iterator[Write]:
    for method, path, body in requests:
        yield Write(base + path, json.dumps(body), method)


def _by_other_name(url: str) -> str:
    one, other = "//localhost:", "//127.0.0.1:"
    return url.replace(one, other) if one in url else url.replace(other, one)


def _port(url: str) -> int | None:
    return urlsplit(url).port


def _is_data(read: Read) -> bool:
    return read.status == HTTPStatus.OK
