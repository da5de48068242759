"""A Prometheus server of our own, as others reach it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.prometheus_config import prometheus_config
from ops.clients import web
from ops.processes.ports import LOOPBACK, free_port
from ops.prometheus.server import start_prometheus


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    target = f"{LOOPBACK}:{free_port(LOOPBACK)}"
    config = prometheus_config(
        proxy_target=None,
        prometheus_target=target,
        rules_glob=str(tmp_path / "none.yml"),
        scrape_interval_seconds=15,
    )
    process = start_prometheus(tmp_path, config, target)
    try:
        process.await_ready(lambda: web.is_ready(f"http://{target}/-/ready"))
        yield f"http://{target}"
    finally:
        process.end()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000"])
def test_no_page_of_another_origin_may_read_it(prometheus: str, origin: str) -> None:
    response = httpx.get(
        f"{prometheus}/api/v1/query?query=up", headers={"Origin": origin}, trust_env=False
    )

    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_a_query_may_not_load_more_samples_than_its_memory_has_room_for(prometheus: str) -> None:
    def ask(samples: int) -> httpx.Response:
        query = {"query": f"count_over_time(vector(1)[{samples}s:1s])"}
        return httpx.get(f"{prometheus}/api/v1/query", params=query, timeout=60, trust_env=False)

    assert ask(500_000).json()["status"] == "success"
    refused = ask(3_000_000)
    assert refused.status_code == 422
    assert "too many samples" in refused.json()["error"]
