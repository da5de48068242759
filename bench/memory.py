"""The proxy's memory (idle, with a thousand open streams, over many requests) and its scrapes."""

import os
import subprocess
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Self

from bench.load import EVENTS, burst, prompt, stream_command, unary
from bench.machine import BenchError, cores
from bench.subjects import Subject

OPEN_STREAMS = 1000
SOAK_REQUESTS = 200_000
_SOAK_CONNECTIONS = 32
# Share of the requests before the first measurement: pools and caches have filled by then.
_WARM_SHARE = 0.1
_SLICE_SECONDS = 5
_HOUR_US = 3_600_000_000
_BUSIEST_STREAMS = 128
_SCRAPE_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Memory:
    """Resident memory in KiB, and the slowest scrape under full load in milliseconds."""

    idle_kib: int
    per_stream_kib: float
    soak_requests: int
    soak_before_kib: int
    soak_after_kib: int
    scrapes: int
    slowest_scrape_ms: float

    @property
    def soak_growth(self) -> float:
        """Growth of the memory over the requests, as a share."""
        return self.soak_after_kib / self.soak_before_kib - 1


def measure(proxy: Subject, *, soak_requests: int = SOAK_REQUESTS) -> Memory:
    """Measure a proxy that has not served a request yet."""
    idle_kib = proxy.process.rss_kib()
    per_stream_kib = _per_stream_kib(proxy)
    done, before, after = _soak(proxy, soak_requests)
    with _Scraper(proxy) as scraper:
        burst(proxy, _BUSIEST_STREAMS, _SLICE_SECONDS)
    return Memory(
        idle_kib=idle_kib,
        per_stream_kib=per_stream_kib,
        soak_requests=done,
        soak_before_kib=before,
        soak_after_kib=after,
        scrapes=len(scraper.seconds),
        slowest_scrape_ms=max(scraper.seconds) * 1000,
    )


def _per_stream_kib(proxy: Subject) -> float:
    """Return the memory per open stream. The first few streams are not counted."""
    few = OPEN_STREAMS // 10
    with _OpenStreams(proxy, few):
        before = proxy.process.rss_kib()
        with _OpenStreams(proxy, OPEN_STREAMS - few):
            return (proxy.process.rss_kib() - before) / (OPEN_STREAMS - few)


class _OpenStreams:
    """Streams that stay open after their first chunk while the context is open."""

    def __init__(self, proxy: Subject, count: int) -> None:
        body = prompt(events=EVENTS, gap_us=_HOUR_US)
        self._command = stream_command(proxy, count, "hold", "0", "0", body=body)

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._popen = subprocess.Popen(self._command, stdin=pipe, stdout=pipe)  # noqa: S603
        core, _ = cores()
        os.sched_setaffinity(self._popen.pid, {core})
        if self._popen.stdout is None or self._popen.stdout.readline() != b"ready\n":
            raise BenchError("the streams did not open; see .run/bench/proxy.log")
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.communicate()


def _soak(proxy: Subject, requests: int) -> tuple[int, int, int]:
    done, before = 0.0, 0
    while done < requests:
        sample = unary(proxy, _SOAK_CONNECTIONS, _SLICE_SECONDS)
        done += sample.rate * _SLICE_SECONDS
        if not before and done >= requests * _WARM_SHARE:
            before = proxy.process.rss_kib()
    return round(done), before, proxy.process.rss_kib()


class _Scraper:
    """Scrapes the metrics repeatedly while the context is open.

    It keeps one connection open, as Prometheus does, and runs on the other core than the proxy.
    """

    def __init__(self, proxy: Subject) -> None:
        self.seconds: list[float] = []
        self._port = proxy.process.port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        core, _ = cores()
        os.sched_setaffinity(threading.get_native_id(), {core})
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            while not self._stop.wait(_SCRAPE_PAUSE_SECONDS):
                started = time.perf_counter()
                connection.request("GET", "/metrics")
                connection.getresponse().read()
                self.seconds.append(time.perf_counter() - started)
