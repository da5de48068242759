import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import PROGRAMS, ScriptedRunner
from tests.ops.stack.operating import OUTPUTS, configure, operator, state
from tests.ops.verify.stand_ins import running_standin


def test_up_checks_then_selects_refreshes_docker_only_and_updates(root: Path) -> None:
    runner = ScriptedRunner()

    assert operator(root, runner).up() == 0

    assert runner.changing == [
        "pulumi stack select dev --non-interactive --create",
        "pulumi refresh --target **docker:index/** --yes --skip-preview --clear-pending-creates",
        "pulumi up --yes",
    ]
    assert runner.commands[0].startswith("docker version")


REFRESH = "pulumi refresh --target **docker:index/**"
UNCHANGED = "--preview-only --expect-no-changes"


def test_preview_only_reads_while_docker_is_as_the_state_says(root: Path) -> None:
    runner = ScriptedRunner()

    assert operator(root, runner).preview() == 0

    assert runner.changing == [
        "pulumi stack select dev --non-interactive --create",
        f"{REFRESH} {UNCHANGED}",
    ]
    assert runner.commands[-1] == "pulumi preview --stack dev"


def test_preview_sees_what_changed_in_docker(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After ``docker rm -f``, say. What a killed command had begun stays known to ``up``."""
    drift = Result(255, "", "error: no changes were expected but changes were proposed")
    runner = ScriptedRunner({f"{REFRESH} {UNCHANGED}": drift})

    assert operator(root, runner).preview() == 0

    assert runner.changing[-1] == f"{REFRESH} --yes --skip-preview"
    assert runner.commands[-1] == "pulumi preview --stack dev"
    assert "Docker has changed since the last update" in capsys.readouterr().out


def test_preview_shows_that_an_image_that_docker_lost_is_rebuilt(root: Path) -> None:
    image = {
        "type": "docker:index/image:Image",
        "urn": "urn:lost",
        "outputs": {"repoDigest": "sha256:lost"},
    }
    gone = {"docker image inspect sha256:lost": Result(1, "", "No such image")}
    runner = ScriptedRunner({**state(resources=[image]), **gone})

    operator(root, runner).preview()

    assert runner.commands[-1] == "pulumi preview --replace urn:lost --stack dev"


def test_preview_says_why_the_state_cannot_be_read(root: Path) -> None:
    locked = Result(255, "", "error: the stack is currently locked by 1 lock(s).")
    runner = ScriptedRunner({"pulumi refresh": locked})

    with pytest.raises(OperatorError, match=r"currently locked(?s:.*)pulumi cancel"):
        operator(root, runner).preview()


@pytest.mark.parametrize(
    ("results", "programs", "why"),
    [
        ({}, {}, "Docker is not installed"),
        ({"docker version": Result(1, "", "Cannot connect")}, PROGRAMS, "Cannot connect"),
        ({"pulumi version": Result(0, "v3.100.0")}, PROGRAMS, "no network here"),
        ({}, {"docker": "/usr/bin/docker"}, "no network here"),
        (
            {"pulumi plugin install": Result(1, "", "error: 403 rate limit")},
            {"docker": "/usr/bin/docker", "pulumi": "/opt/bin/pulumi"},
            "403 rate limit",
        ),
    ],
    ids=["no docker", "docker down", "old cli", "no cli", "no plugins"],
)
def test_up_touches_nothing_when_something_is_missing(
    root: Path, results: Mapping[str, Result], programs: Mapping[str, str], why: str
) -> None:
    runner = ScriptedRunner(results, programs)
    before = sorted(root.iterdir())

    with pytest.raises(OperatorError) as error:
        operator(root, runner).up()

    assert why in str(error.value)
    assert "make demo" in str(error.value)
    assert [words for words in runner.changing if words != "pulumi plugin install --exact"] == []
    assert sorted(root.iterdir()) == before


def test_up_stops_before_the_stack_when_an_image_cannot_be_pulled(root: Path) -> None:
    runner = ScriptedRunner(
        {"docker image inspect": Result(1), "docker pull": Result(1, "", "no route to registry")}
    )

    with pytest.raises(OperatorError, match=r"python:.*can't be pulled.*pythonImage.*make demo"):
        operator(root, runner).up()

    assert [words for words in runner.changing if not words.startswith("docker pull")] == []
    assert not (root / ".pulumi-state").exists()


def test_up_pulls_only_the_images_that_are_needed_and_absent(root: Path) -> None:
    configure(root, engine="external", grafana="external", prometheusImage="prom/prometheus:own")
    runner = ScriptedRunner({"docker image inspect --format {{.Id}} python": Result(1)})

    operator(root, runner).up()

    looked_for = {words.split()[-1] for words in runner.commands if "image inspect" in words}
    pulled = [words for words in runner.changing if words.startswith("docker pull")]
    assert "prom/prometheus:own" in looked_for
    assert not any("grafana" in image or "mistral" in image for image in looked_for)
    assert [words.split()[-1].partition(":")[0] for words in pulled] == ["python"]


def test_env_points_pulumi_by_hand_to_the_state_that_make_up_made(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator(root, ScriptedRunner()).up()
    capsys.readouterr()

    assert operator(root, ScriptedRunner()).env() == 0

    exported = capsys.readouterr().out
    assert f"export PULUMI_BACKEND_URL={(root / '.pulumi-state').as_uri()}" in exported
    assert f"export PULUMI_CONFIG_PASSPHRASE_FILE={root / '.pulumi-passphrase'}" in exported
    assert all(line.startswith("export ") for line in exported.splitlines())


def test_env_without_a_state_says_which_command_creates_one(root: Path) -> None:
    with pytest.raises(OperatorError, match="make up"):
        operator(root, ScriptedRunner()).env()


def test_a_failed_update_returns_its_exit_code_and_prints_no_urls(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner(
        {"pulumi up": Result(255), "pulumi stack output": Result(0, json.dumps(OUTPUTS))}
    )

    assert operator(root, runner).up() == 255

    assert "http://" not in capsys.readouterr().out


def test_up_ends_with_the_urls_and_the_default_login(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner({"pulumi stack output": Result(0, json.dumps(OUTPUTS))})

    operator(root, runner).up()

    printed = capsys.readouterr().out
    assert all(OUTPUTS[key] in printed for key in ("proxyUrl", "metricsUrl", "grafanaUrl"))
    assert "as admin with the password changeme" in printed


def test_a_password_that_the_operator_set_is_never_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {**OUTPUTS, "grafanaAdminPassword": "s3cret"}
    runner = ScriptedRunner({"pulumi stack output": Result(0, json.dumps(outputs))})

    operator(root, runner).up()

    printed = capsys.readouterr().out
    assert "s3cret" not in printed
    assert "as admin with the password that you set" in printed


def test_an_api_key_is_mentioned_and_never_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner(
        {"pulumi stack output": Result(0, json.dumps({**OUTPUTS, "apiKey": "k3y"}))}
    )

    operator(root, runner).up()

    printed = capsys.readouterr().out
    assert "k3y" not in printed
    assert "pulumi stack output apiKey --show-secrets" in printed


def test_down_destroys_without_a_refresh_and_says_what_stays(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = {"type": "docker:index/volume:Volume", "outputs": {"name": "frontier-models"}}
    runner = ScriptedRunner(state(resources=[volume]))

    assert operator(root, runner).down() == 0

    assert runner.changing[-1] == "pulumi destroy --yes --exclude-protected"
    assert not any("refresh" in words for words in runner.commands)
    assert "docker volume rm frontier-models" in capsys.readouterr().out


def test_down_without_a_stack_has_nothing_to_do(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner({"pulumi stack select": Result(6, "", "no stack named 'dev' found")})

    assert operator(root, runner).down() == 0

    assert not any("destroy" in words for words in runner.commands)
    assert "nothing to take down" in capsys.readouterr().out


def test_status_shows_the_stacks_containers_and_fails_unless_all_are_healthy(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = Result(
        0,
        '{"Names": "frontier-mistral", "Status": "Up 2 minutes (unhealthy)"}\n'
        '{"Names": "frontier-mistral-other", "Status": "Up 2 minutes (healthy)"}',
    )
    runner = ScriptedRunner({"docker ps": listing})

    assert operator(root, runner).status() == 1

    printed = capsys.readouterr().out
    assert "frontier-mistral " in printed
    assert "(unhealthy)" in printed
    assert "frontier-mistral-other" not in printed


def test_status_logs_in_to_a_prometheus_that_requires_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = Result(0, '{"Names": "frontier-mistral", "Status": "Up 2 minutes (healthy)"}')
    with running_standin(prometheus_authorization="Bearer t0ken") as targets:
        outputs = {
            "prometheusUrl": targets.prometheus,
            "prometheusAuthorization": "Bearer t0ken",
        }
        runner = ScriptedRunner(
            {
                "docker ps": listing,
                "pulumi whoami": Result(0, '{"url": "https://app.pulumi.com/ada"}'),
                "pulumi stack output": Result(0, json.dumps(outputs)),
            }
        )

        assert operator(root, runner).status() == 0

    printed = capsys.readouterr().out
    assert "Alerts firing: none" in printed
    assert "t0ken" not in printed


def test_status_without_containers_names_the_command_that_starts_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operator(root, ScriptedRunner()).status() == 1

    assert "make up" in capsys.readouterr().out


def test_logs_of_a_service_without_a_container_names_those_with_one(root: Path) -> None:
    listing = Result(0, '{"Names": "frontier-mistral", "Status": "Up 2 minutes (healthy)"}')
    runner = ScriptedRunner({"docker ps": listing})

    with pytest.raises(OperatorError, match=r"grafana has no container; these have: engine"):
        operator(root, runner).logs("grafana")


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (Result(0, "colima\n"), "reached through the Docker context colima (`docker context use`"),
        (Result(0, "default\n"), "Docker can't be reached: Cannot connect"),
        (Result(1, "", "unknown command"), "Docker can't be reached: Cannot connect"),
    ],
)
def test_an_engine_that_is_down_is_named_with_its_context(
    root: Path, context: Result, named: str
) -> None:
    results = {
        "docker version": Result(1, "", "Cannot connect"),
        "docker context inspect": context,
    }
    with pytest.raises(OperatorError) as error:
        operator(root, ScriptedRunner(results)).up()
    assert named in str(error.value)


def test_pulumi_reaches_its_own_program_where_an_http_proxy_is_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    runner = ScriptedRunner()
    assert operator(root, runner).up() == 0
    (up,) = [
        environ
        for words, environ in zip(runner.commands, runner.environs, strict=True)
        if words.startswith("pulumi up")
    ]
    assert up["no_proxy"] == up["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"


def test_commands_go_to_the_docker_host_that_the_stack_is_set_to(root: Path) -> None:
    configure(root, dockerHost="ssh://box")
    runner = ScriptedRunner()

    operator(root, runner).status()

    assert {environ.get("DOCKER_HOST") for environ in runner.environs} == {"ssh://box"}
