"""The targets: which figures have bounds, and whether a run meets them."""

from dataclasses import dataclass

from bench.memory import Memory
from bench.subjects import DIRECT, LITELLM, NGINX, OLLAMA
from bench.summary import Figure, Run, figure

_MIB = 1024  # KiB


@dataclass(frozen=True)
class Target:
    """A figure and its bound."""

    name: str
    found: Figure | None
    bound: float
    at_least: bool

    @property
    def met(self) -> bool | None:
        """Whether the median is within the bound; None if it was not measured."""
        if self.found is None:
            return None
        if self.at_least:
            return self.found.median >= self.bound
        return self.found.median <= self.bound

    def __str__(self) -> str:
        """Render for a table."""
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        sign = "≥" if self.at_least else "≤"
        return f"{self.name:<66} {self.found!s:<26} {sign} {self.bound:g}: {verdict}"


def targets(run: Run, memory: Memory | None) -> list[Target]:
    """Compare a run with the targets."""
    burst, unary = (OLLAMA, "burst", 32), (OLLAMA, "unary", 32)
    nginx_burst, nginx_unary = (NGINX, "burst", 32), (NGINX, "unary", 32)
    litellm_burst, litellm_unary = (LITELLM, "burst", 32), (LITELLM, "unary", 32)
    one, one_direct = (OLLAMA, "first", 1), (DIRECT, "first", 1)
    many, many_nginx = (OLLAMA, "paced", 128), (NGINX, "paced", 128)
    found = [
        _at_least("chunks/s, 32 streams: x nginx", run.ratio(burst, nginx_burst, "rate"), 1.5),
        _at_least("chunks/s, 32 streams: x LiteLLM", run.ratio(burst, litellm_burst, "rate"), 80),
        _at_least("requests/s, 32: x nginx", run.ratio(unary, nginx_unary, "rate"), 0.2),
        _at_least("requests/s, 32: x LiteLLM", run.ratio(unary, litellm_unary, "rate"), 50),
        _at_most("first chunk, p50: µs added", run.added(one, one_direct, "first_p50_us"), 1000),
        _at_most("first chunk, p99: µs added", run.added(one, one_direct, "first_p99_us"), 3000),
        _at_most("first chunk, 128, p99: x nginx", run.ratio(many, many_nginx, "first_p99_us"), 3),
        _at_most("chunk delay, 128, p99: x nginx", run.ratio(many, many_nginx, "delay_p99_us"), 3),
        _at_most("CPU per chunk, 32: x nginx", run.ratio(burst, nginx_burst, "cpu_us"), 1),
        _at_most("lost, reordered or refused", figure([run.faults().get(OLLAMA, 0)]), 0),
    ]
    return found + (_memory(memory) if memory else [])


def _memory(memory: Memory) -> list[Target]:
    return [
        _at_most("memory, idle: MiB", figure([memory.idle_kib / _MIB]), 90),
        _at_most("memory per open stream: KiB", figure([memory.per_stream_kib]), 40),
        _at_most("memory over the soak: share grown", figure([memory.soak_growth]), 0.05),
        _at_most("/metrics under full load: slowest ms", figure([memory.slowest_scrape_ms]), 50),
    ]


def _at_least(name: str, found: Figure | None, bound: float) -> Target:
    return Target(name, found, bound, at_least=True)


def _at_most(name: str, found: Figure | None, bound: float) -> Target:
    return Target(name, found, bound, at_least=False)
