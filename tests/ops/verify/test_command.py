import json
import re
import socket

import pytest

from ops.running.targets import Targets
from ops.verify.command import main
from tests.ops.verify.stand_ins import running_standin


def run(targets: Targets, *options: str) -> int:
    assert targets.prometheus
    return main(["--proxy", targets.proxy, "--prometheus", targets.prometheus, *options])


def test_healthy_services_pass_with_exact_counts_in_both_places(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_standin() as targets:
        code = run(targets)

    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "FAIL" not in printed
    for where in ("proxy", "Prometheus"):
        counted = 'mistral_http_requests_total{endpoint="chat",status="success"} — +2'
        assert f"PASS  {where}: {counted}" in printed
        assert f"PASS  {where}: mistral_generate_tokens_total — +9" in printed
    assert 'PASS  proxy: mistral_streaming_chunks_total{endpoint="chat"} — +2' in printed
    numbers = [int(number) for number in re.findall(r"^\((\d+)\) ", printed, re.MULTILINE)]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert f"{targets.proxy}/metrics" in printed
    assert f"{targets.prometheus}/targets" in printed


def test_a_second_run_counts_from_where_the_first_ended() -> None:
    with running_standin() as targets:
        assert [run(targets), run(targets)] == [0, 0]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("lost metric", "FAIL  mistral_model_load_duration_seconds — not exposed"),
        ("few buckets", "FAIL  mistral_http_request_duration_seconds has the alerts' thresholds"),
        ("bare content type", "FAIL  /metrics parses"),
        ("engine down", "FAIL  proxy reaches the engine"),
        ("not scraped", "FAIL  job mistral is scraped — no such target"),
        ("broken rule", "healthy — MistralDown: many-to-many matching"),
        ("lost rule", "FAIL  alert rules are loaded and healthy — MistralDown is not loaded"),
        ("lost tokens", "FAIL  proxy: mistral_generate_tokens_total — +0 instead of +9"),
        ("leaking gauge", "FAIL  no request is active afterwards"),
        ("stale prometheus", "FAIL  Prometheus: mistral_generate_tokens_total — +0 instead of +9"),
    ],
)
def test_each_fault_fails_its_own_check_and_the_others_still_run(
    fault: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_standin(fault) as targets:
        assert run(targets, "--max-wait", "0") == 1

    printed = capsys.readouterr().out
    assert line in printed
    assert ") Links\n" in printed


def test_more_requests_than_were_sent_are_reported_as_other_traffic(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_standin("double count") as targets:
        assert run(targets, "--max-wait", "0") == 1

    assert "+8 instead of +4 — other clients may be using the proxy" in capsys.readouterr().out


def test_without_traffic_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    with running_standin("double count", "lost tokens") as targets:
        assert run(targets, "--no-traffic") == 0

    assert "SKIP  test traffic" in capsys.readouterr().out


def test_without_prometheus_its_checks_are_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    with running_standin() as targets:
        code = main(["--proxy", targets.proxy])

    assert code == 0
    assert "SKIP  Prometheus" in capsys.readouterr().out


def test_a_proxy_that_requires_a_key_gets_the_one_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_standin(key="0123456789abcdef") as targets:
        refused = run(targets)
        monkeypatch.setenv("API_KEY", "0123456789abcdef")
        passed = run(targets)

    printed = capsys.readouterr()
    assert (refused, passed) == (2, 0)
    assert "set API_KEY_FILE or API_KEY" in printed.err
    assert "0123456789abcdef" not in printed.out + printed.err


def test_metrics_that_require_another_key_get_the_one_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_standin(metrics_key="0123456789abcdef") as targets:
        refused = run(targets, "--max-wait", "0")
        monkeypatch.setenv("METRICS_KEY", "0123456789abcdef")
        passed = run(targets)

    printed = capsys.readouterr().out
    assert (refused, passed) == (1, 0)
    assert "FAIL  /metrics parses — requires another key" in printed
    assert "0123456789abcdef" not in printed


def test_for_an_unreachable_proxy_the_exit_code_is_2_and_the_error_says_what_to_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))

        assert main(["--proxy", f"http://127.0.0.1:{closed.getsockname()[1]}"]) == 2

    assert "make demo" in capsys.readouterr().err


def test_findings_are_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with running_standin() as targets:
        run(targets, "--json")

    findings = json.loads(capsys.readouterr().out)
    assert findings["counts"]["fail"] == 0
    assert {"name", "outcome", "evidence", "hint"} == findings["checks"][0].keys()
