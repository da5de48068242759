"""How scrapes are answered when there are many."""

import asyncio

import pytest
from prometheus_client.exposition import choose_encoder

from proxy_service.telemetry.metrics import ProxyMetrics
from proxy_service.telemetry.scrapes import Scrapes, canonical

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/html, text/plain;version=0.0.4",
        "application/openmetrics-text",
        "application/openmetrics-text; version=0.0.1",
        "text/plain; version=1.0.0; escaping=dots",
        PROMETHEUS_2,
        PROMETHEUS_3,
    ],
)
def test_a_scraper_gets_the_format_that_the_library_chooses(accept: str) -> None:
    assert choose_encoder(canonical(accept))[1] == choose_encoder(accept)[1]


@pytest.mark.parametrize(
    "accept",
    [
        *(f"application/openmetrics-text; version=1.{minor}.0" for minor in range(5)),
        "application/openmetrics-text; version=9.0.0; escaping=" + "x" * 9000,
        "text/plain; version=" + "9" * 9000,
        "text/plain; version=1." + "9" * 9000,
        ";,;" * 9000,
    ],
)
def test_there_are_few_formats(accept: str) -> None:
    assert canonical(accept) in (
        "",
        *(f"{kind}; version=1.0.0" for kind in ("application/openmetrics-text", "text/plain")),
    )


def test_scrapes_that_arrive_together_share_an_exposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shows what was counted before it was asked for, also if others gave up waiting."""
    metrics, made = ProxyMetrics(), []
    expose = metrics.expose

    def counting(accept: str) -> tuple[bytes, str]:
        made.append(accept)
        return expose(accept)

    monkeypatch.setattr(metrics, "expose", counting)

    async def scrape_often() -> list[bytes]:
        scrapes = Scrapes(metrics)
        bodies = []
        for number in range(3):
            metrics.queued_requests.set(number)
            asked = [asyncio.create_task(scrapes.expose(PROMETHEUS_3)) for _ in range(100)]
            await asyncio.sleep(0)
            asked[0].cancel()
            answers = await asyncio.gather(*asked[1:])
            assert asked[0].cancelled()
            (body,) = {body for body, _ in answers}
            bodies.append(body)
        return bodies

    bodies = asyncio.run(scrape_often())

    assert len(made) == 3
    for number, body in enumerate(bodies):
        assert f"mistral_queued_requests {number}.0".encode() in body
