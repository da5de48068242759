"""What the demo shows while the model loads, and once everything is ready."""

import json
import os
import threading
import time
from urllib.parse import quote

from infra.topology import ENGINE, PROMETHEUS, PROXY
from ops.clients import web
from ops.clients.proxy import ProxyApi
from ops.running.demo import DemoUrls
from ops.terminal.status import Terminal

QUESTION = "Why is the sky blue?"
REQUEST_RATE = "rate(mistral_http_requests_total[1m])"
POLL_SECONDS = 0.25

# Seconds between two status lines where a line can't be rewritten in place.
STATUS_SECONDS = 10


def show_when_ready(
    urls: DemoUrls, proxy: ProxyApi, terminal: Terminal, stopping: threading.Event
) -> None:
    """Count the seconds until every service is ready, then print what to try."""
    waiting = [f"{urls.engine}{ENGINE.ready_path}", f"{urls.proxy}{PROXY.ready_path}"]
    if urls.prometheus:
        waiting.append(f"{urls.prometheus}{PROMETHEUS.ready_path}")
    started = time.monotonic()
    interval = 1 if terminal.rewrites else STATUS_SECONDS
    next_status = 0
    while not stopping.is_set():
        waiting = [url for url in waiting if not web.is_ready(url)]
        if not waiting and (model := _first_model(proxy)):
            terminal.show_status("")
            terminal.say(what_to_try(urls, model, asks_for_key=proxy.key is not None))
            return
        seconds = int(time.monotonic() - started)
        if seconds >= next_status:
            terminal.show_status(f"Loading the model … {seconds} s")
            next_status = seconds + interval
        stopping.wait(POLL_SECONDS)
    terminal.show_status("")


def what_to_try(urls: DemoUrls, model: str, *, asks_for_key: bool) -> str:
    """Return the text that ends the wait: two ways to ask a question, and links."""
    request = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    script = (
        f"import ollama; client = ollama.Client('{urls.proxy}'); "
        f"print(client.generate('{model}', '{QUESTION}').response)"
    )
    begin, header, variable = "Try:", "", ""
    if asks_for_key:
        keys = os.environ.get("API_KEY_FILE") or "the demo's own API_KEY"
        begin = f"Set API_KEY to a key from {keys} and try:"
        header = '-H "Authorization: Bearer $API_KEY" '
        variable = 'OLLAMA_API_KEY="$API_KEY" '
    lines = [
        "",
        f"The demo is ready. {begin}",
        "",
        f"  curl {header}{urls.proxy}/api/chat -d '{json.dumps(request)}'",
        "",
        f'  pip install ollama; {variable}python3 -c "{script}"',
        "",
        f"  Metrics           {urls.proxy}/metrics",
    ]
    if urls.prometheus:
        query = quote(REQUEST_RATE, safe="()")
        graph = f"{urls.prometheus}/graph?g0.expr={query}&g0.tab=0&g0.range_input=15m"
        lines.append(f"  Prometheus graph  {graph}")
    lines += [
        "  Check everything  make verify (in another terminal)",
        "  Stop              Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _first_model(proxy: ProxyApi) -> str | None:
    """Return the name of the first model that the proxy lists; None while it lists none."""
    try:
        return proxy.first_model()
    except (web.UnreachableError, ValueError, LookupError):
        return None
