"""How other commands find a running demo."""

import json
from dataclasses import asdict
from pathlib import Path

from ops.running.demo import FILE_NAME, DemoUrls, announced, running_demo

URLS = DemoUrls("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")

# Above the highest process id that Linux or macOS gives.
NO_PROCESS = 2**30


def test_a_demo_is_found_while_it_runs(tmp_path: Path) -> None:
    assert running_demo(tmp_path) is None
    with announced(URLS, tmp_path):
        assert running_demo(tmp_path) == URLS
    assert running_demo(tmp_path) is None


def test_a_demo_that_was_killed_is_not_found(tmp_path: Path) -> None:
    state = json.dumps({"pid": NO_PROCESS, **asdict(URLS)})
    (tmp_path / FILE_NAME).write_text(state, encoding="utf-8")

    assert running_demo(tmp_path) is None
