"""Which services a command works on: a named stack, the demo, the default stack or the ports."""

from pathlib import Path

import pytest

from ops.clients.prometheus import Prometheus
from ops.running.demo import DemoUrls, announced
from ops.running.targets import Targets, find_targets, stack_targets
from ops.terminal.console import OperatorError

PULUMI = """\
#!/bin/sh
case "$*" in
version) echo v3.999.0 ;;
whoami*) echo '{"url": "https://pulumi.example.org"}' ;;
"stack output"*" --stack STACK") echo '{"proxyUrl": "http://STACK.example.org"}' ;;
*) exit 1 ;;
esac
"""
DEMO = DemoUrls("http://127.0.0.1:1", "http://127.0.0.1:2", None)


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a demo, which doesn't run."""
    folder = tmp_path / "demo"
    folder.mkdir()
    monkeypatch.setenv("DEMO_DIR", str(folder))
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def bring_up(stack: str, programs: Path) -> None:
    """Put a Pulumi CLI on PATH to which only this stack is up."""
    (programs / "pulumi").write_text(PULUMI.replace("STACK", stack), encoding="ascii")
    (programs / "pulumi").chmod(0o755)


def test_a_running_demo_comes_before_the_default_stack(demo: Path, programs: Path) -> None:
    bring_up("dev", programs)

    with announced(DEMO, demo):
        targets = find_targets(None)

    assert targets.origin == "the running demo"
    assert (targets.engine, targets.proxy) == (DEMO.engine, DEMO.proxy)
    assert targets.prometheus is None


def test_a_named_stack_is_taken_even_while_a_demo_runs(demo: Path, programs: Path) -> None:
    bring_up("prod", programs)

    with announced(DEMO, demo):
        targets = find_targets("prod")

    assert (targets.origin, targets.proxy) == ("stack prod", "http://prod.example.org")


@pytest.mark.usefixtures("demo")
def test_without_a_demo_it_is_the_default_stack(programs: Path) -> None:
    bring_up("dev", programs)

    assert find_targets(None).proxy == "http://dev.example.org"


@pytest.mark.usefixtures("demo")
def test_without_a_demo_and_a_stack_it_is_the_default_ports(programs: Path) -> None:
    bring_up("another", programs)

    targets = find_targets(None)

    assert targets.origin == "the default ports on this machine"
    assert targets.proxy == "http://127.0.0.1:11434"
    assert targets.prometheus == "http://127.0.0.1:9090"
    assert targets.grafana is None


@pytest.mark.usefixtures("demo")
def test_a_named_stack_that_is_not_up_is_an_error(programs: Path) -> None:
    bring_up("dev", programs)

    with pytest.raises(OperatorError, match=r"start it with `make up STACK=prod`"):
        find_targets("prod")


def test_a_stacks_outputs_say_where_its_services_are() -> None:
    outputs = {
        "proxyUrl": "http://p",
        "prometheusUrl": "http://q",
        "grafanaUrl": "",
        "grafanaAdminPassword": "secret",
        "apiKey": "first-key-of-two,second-key-of-two",
        "metricsKey": "key-of-the-metrics",
    }

    targets = stack_targets("dev", outputs)

    assert targets.proxy == "http://p"
    assert targets.prometheus == "http://q"
    assert targets.grafana is None
    assert targets.proxy_api.headers == {"Authorization": "Bearer first-key-of-two"}
    assert targets.proxy_api.metrics_key == "key-of-the-metrics"
    assert "key-of" not in repr(targets)


def test_another_prometheus_does_not_get_the_stacks_login() -> None:
    outputs = {
        "proxyUrl": "http://p",
        "prometheusUrl": "https://own.example.org",
        "prometheusAuthorization": "Bearer t0ken",
        "prometheusCaFile": "/ca.pem",
    }
    stack = stack_targets("dev", outputs)
    assert "t0ken" not in repr(stack)
    assert stack.prometheus_api == Prometheus("https://own.example.org", "Bearer t0ken", "/ca.pem")

    other = stack.overridden({"prometheus": "http://other.example.org"})

    assert other.prometheus_api == Prometheus("http://other.example.org")
    assert Targets("none", "http://p").prometheus_api is None
