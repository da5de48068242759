"""What is measured: the engine itself, and four ways to put a proxy in front of it."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.machine import ROOT, WORK, compile_tool, cores, installed
from bench.processes import Process
from ops.clients.proxy import WITHOUT_KEYS

BASE_PORT = 18600
OPENAI_PATH = "/v1/chat/completions"
DIRECT, NGINX, OLLAMA, OPENAI, LITELLM = (
    "engine directly",
    "nginx, unbuffered",
    "this proxy, /api/chat",
    "this proxy, /v1",
    "LiteLLM proxy",
)

_LITELLM_CONFIG = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: http://127.0.0.1:{engine_port}/v1
      api_key: none
litellm_settings:
  telemetry: false
"""


@dataclass(frozen=True)
class Subject:
    """One row of the results: the server under load, its path, and the engine behind it."""

    name: str
    process: Process
    engine: Process
    path: str = OPENAI_PATH


@contextmanager
def running(*, with_litellm: bool) -> Iterator[dict[str, Subject]]:
    """Start all servers: the engine on the load's core, the subjects on the other one."""
    load_core, core = cores()
    with ExitStack() as stack:
        start = stack.enter_context
        engine = start(_engine(load_core))
        proxy = start(_proxy(core))
        subjects = [
            Subject(DIRECT, engine, engine),
            Subject(NGINX, start(_nginx(core)), engine),
            Subject(OLLAMA, proxy, engine, "/api/chat"),
            Subject(OPENAI, proxy, engine),
        ]
        if with_litellm:
            subjects.append(Subject(LITELLM, start(_litellm(core)), engine))
        yield {subject.name: subject for subject in subjects}


def _engine(core: int) -> Process:
    command = [str(compile_tool("engine")), str(BASE_PORT)]
    return Process("engine", command, port=BASE_PORT, core=core)


def _nginx(core: int) -> Process:
    port = BASE_PORT + 1
    template = (ROOT / "bench" / "nginx.conf").read_text()
    config = WORK / "nginx.conf"
    config.write_text(template.format(folder=WORK, port=port, engine_port=BASE_PORT))
    return Process("nginx", ["nginx", "-c", str(config)], port=port, core=core)


def _proxy(core: int) -> Process:
    """Return this proxy with its default settings, its log written to a file."""
    port = BASE_PORT + 2
    environ = {
        **WITHOUT_KEYS,
        "MISTRAL_URL": f"http://127.0.0.1:{BASE_PORT}",
        "BIND_ADDRESS": f"127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "proxy_service"]
    return Process("proxy", command, port=port, core=core, environ=environ, health="/readyz")


def _litellm(core: int) -> Process:
    port = BASE_PORT + 3
    config = WORK / "litellm.yaml"
    config.write_text(_LITELLM_CONFIG.format(engine_port=BASE_PORT))
    command = [str(installed("litellm")), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environ = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    return Process(
        "litellm",
        command,
        port=port,
        core=core,
        environ=environ,
        health="/health/liveliness",
        start_timeout_seconds=120,
    )
