"""`make fuzz MINUTES=10`: look for what breaks the proxy, breaks a parser, or costs too much.

A third of the time each: the whole proxy is fuzzed with Hypothesis, the parsers with Atheris, and
the cost of inputs is measured. The exit code is 0 if nothing was found, else 1. Needs
tests/fuzz/requirements.txt.
"""

import argparse
import gc
import gzip
import io
import json
import re
import secrets
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.cost import WORK, Cost, search
from tests.fuzz.inputs import HEADERS, PATHS, bodies, engine_replies
from tests.fuzz.target import FuzzTarget
from tests.processes import ROOT
from tests.proxy.scripted_engine import DONE, MODEL, USAGE, Reply, delta_event
from tests.tiny_gguf import sentencepiece_metadata, write_gguf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from tests.fuzz.shapes import Shape

PARSERS = (
    *("requests", "bodies", "translated_bodies", "engine_bodies", "compressed", "events"),
    *("streams", "translated_streams", "passed_on", "replies", "responses", "model_files"),
)
_ROUND = 100  # examples, after which the time and the number of objects are checked
# By how much the number of objects and series may grow after the first round. It varies with the
# connections, but a leak of one object per request would soon exceed it.
_GROWTH = 100


def _gguf() -> bytes:
    file = io.BytesIO()
    write_gguf(file, sentencepiece_metadata(), {"token_embd.weight": np.zeros((3, 5), np.float32)})
    return file.getvalue()


_SAFETENSORS = json.dumps({"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}})
_CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x", "images": []}]}
_BLOCKS = [
    {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "x"}]},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
]
_MESSAGES = {
    "max_tokens": 5,
    "messages": [{"role": role, "content": _BLOCKS} for role in ("user", "assistant")],
    "tools": [{"name": "f", "input_schema": {}}],
    "tool_choice": {"type": "any"},
}
_RESPONSES = {
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
    ],
    "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "f"}]}],
    "reasoning": {"effort": "low"},
}
_STREAM = delta_event("a") * 3 + delta_event("b", finish="stop", usage=USAGE) + DONE
_HEAD = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n"
# The first inputs of the parsers. Each gets a first byte that says how to split it.
SEEDS: dict[str, list[bytes]] = {
    "requests": [
        _HEAD + b"Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        _HEAD
        + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
    ],
    "bodies": [
        json.dumps(_CHAT | {"options": {"stop": ["a"], "top_k": 1}, "think": "high"}).encode()
    ],
    "translated_bodies": [json.dumps(value).encode() for value in (_MESSAGES, _RESPONSES)],
    "compressed": [gzip.compress(b"{}"), zstd.compress(b"{}")],
    "engine_bodies": [
        json.dumps(_CHAT | {"tools": [], "logit_bias": {"1": 0.5}, "stop": ["a"]}).encode(),
        b'{"prompt":"x","grammar":{"type":"json_schema","value":{}}}',
    ],
    "events": [b"event: a\r\ndata: b\r\ndata: c\r\n\r\n: d\n\ndata: [DONE]\n\n"],
    "streams": [_STREAM],
    "translated_streams": [_STREAM],
    "passed_on": [_STREAM],
    "replies": [
        b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{}}',
        b'{"data":[{"index":0,"embedding":[0.5,1e-5]}]}',
        b'{"data":[{"id":"m","created":1}]}',
        b'{"error":{"message":"x","type":"invalid_request_error"}}',
    ],
    "responses": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"],
    "model_files": [_gguf(), struct.pack("<Q", len(_SAFETENSORS)) + _SAFETENSORS.encode()],
}


def fuzz_http(seconds: float) -> None:
    """Send requests through real sockets until the time is up; raise an error for each fault."""
    long = settings(
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    with FuzzTarget() as target:

        @long
        @given(path=st.sampled_from(PATHS), body=bodies(), headers=HEADERS, reply=engine_replies())
        def one_round(path: str, body: bytes, headers: dict[str, str], reply: Reply) -> None:
            target.answer_with(reply)
            target.send(path, body, headers)

        end = time.monotonic() + seconds
        one_round()
        first = last = target.at_rest()
        while time.monotonic() < end:
            one_round()
            last = target.at_rest()
            print(f"http: {target.sent} requests, {last - first:+d} objects", flush=True)  # noqa: T201
        assert target.still_serves()
        assert last - first < _GROWTH, f"{last - first} objects more than after the first round"


def fuzz_parser(name: str, seconds: int) -> bool:
    """Fuzz one parser with Atheris, and return whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]):
            (Path(folder) / f"seed{number}").write_bytes(b"\xff" + seed)
        command = [sys.executable, "-m", "tests.fuzz.parsers", name, folder]
        options = [f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10"]
        run = subprocess.run(
            [*command, *options, f"-artifact_prefix={folder}/"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    done = re.findall(r"Done (\d+) runs", run.stderr)
    if run.returncode or not done:
        print(f"{name}: found\n{run.stdout}{run.stderr[-4000:]}", flush=True)  # noqa: T201
        return False
    print(f"{name}: {done[0]} runs", flush=True)  # noqa: T201
    return True


def fuzz_cost(name: str, seconds: float, seed: int) -> bool:
    """Search for inputs that cost some work too much, and return whether there are none."""
    gc.freeze()
    measured, slowest, largest = 0, Cost(0, 0), Cost(0, 0)
    findings: dict[bytes, tuple[Shape, Cost]] = {}  # the worst for each frame
    for shape, cost in search(name, seconds, seed):
        measured += 1
        slowest = max(slowest, cost, key=lambda one: one.time)
        largest = max(largest, cost, key=lambda one: one.memory)
        known = findings.get(shape.frame)
        if cost.worst > 1 and (known is None or cost.worst > known[1].worst):
            findings[shape.frame] = shape, cost
    print(  # noqa: T201
        f"cost of {name}: {measured} inputs (seed {seed}), at most {slowest.milliseconds:.1f} ms "
        f"per 100 KB and {largest.multiple:.1f} times their size in memory",
        flush=True,
    )
    for shape, cost in findings.values():
        print(f"  found: {cost} for {shape}", flush=True)  # noqa: T201
    return not findings


def main() -> int:
    """Fuzz for the given time."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--only",
        choices=["http", "parsers", *PARSERS, "cost", *map(_cost_of, WORK)],
        help="one of the targets, or of the three kinds",
    )
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="for the costs")
    options = parser.parse_args()
    third = options.minutes * 60 / (1 if options.only else 3)
    if options.only in (None, "http"):
        fuzz_http(third)
    parsers = [name for name in PARSERS if options.only in (None, "parsers", name)]
    clean = [fuzz_parser(name, round(third / len(parsers))) for name in parsers]
    costs = [name for name in WORK if options.only in (None, "cost", _cost_of(name))]
    clean += [fuzz_cost(name, third / len(costs), options.seed) for name in costs]
    return 0 if all(clean) else 1


def _cost_of(name: str) -> str:
    return f"cost-{name}"


if __name__ == "__main__":
    sys.exit(main())
