import json
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ops.checkout import ROOT
from ops.processes.runner import Result
from ops.pulumi.settings import read_stack_config
from ops.stack.commands import Operator
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import PROGRAMS, ScriptedRunner

OUTPUTS = {
    "proxyUrl": "http://127.0.0.1:11434",
    "metricsUrl": "http://127.0.0.1:11434/metrics",
    "grafanaUrl": "http://127.0.0.1:3000",
    "grafanaUser": "admin",
    "grafanaAdminPassword": "changeme",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project folder with this project's settings and nothing else."""
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    return tmp_path


def operator(
    root: Path, runner: ScriptedRunner, environ: Mapping[str, str] | None = None
) -> Operator:
    def install_nothing(_folder: Path) -> None:
        raise OSError("no network here")

    return Operator(
        read_stack_config(root), runner, root, environ or {}, install_cli=install_nothing
    )


def configure(root: Path, **settings: object) -> None:
    config = {f"frontier:{name}": value for name, value in settings.items()}
    (root / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))


def test_up_checks_then_selects_refreshes_docker_only_and_updates(root: Path) -> None:
    runner = ScriptedRunner()

    assert operator(root, runner).up() == 0

    assert runner.changing == [
        "pulumi stack select dev --non-interactive --create",
        "pulumi refresh --target **docker:index/** --yes --skip-preview --clear-pending-creates",
        "pulumi up --yes",
    ]
    assert runner.commands[0].startswith("docker version")


BEGUN = [
    {"type": kind, "resource": {"type": f"docker:index/{resource}", "inputs": {"name": name}}}
    for kind, resource, name in (
        ("creating", "container:Container", "frontier-grafana"),
        ("creating", "network:Network", "frontier"),
        ("creating", "volume:Volume", "frontier-grafana-data"),
        ("deleting", "container:Container", "frontier-prometheus"),
    )
]


def state(**deployment: object) -> dict[str, Result]:
    return {"pulumi stack export": Result(0, json.dumps({"deployment": deployment}))}


HALF_MADE = {
    **state(pending_operations=BEGUN),
    "docker container inspect --format {{.Id}} frontier-grafana": Result(0, "c0ffee\n"),
    "docker network inspect --format {{.Id}} frontier": Result(0, "f00d\n"),
}
REMOVED = ["docker container rm --force --volumes c0ffee", "docker network rm f00d"]


def removed(runner: ScriptedRunner) -> list[str]:
    return [words for words in runner.commands if words.startswith("docker") and " rm " in words]


@pytest.mark.parametrize(
    ("command", "last"), [(Operator.up, "pulumi up"), (Operator.down, "pulumi destroy")]
)
def test_what_a_killed_up_was_creating_is_removed_after_the_refresh(
    root: Path, command: Callable[[Operator], int], last: str
) -> None:
    """Docker refuses a second container of a name, and keeps a network that is in use."""
    runner = ScriptedRunner(HALF_MADE)

    assert command(operator(root, runner)) == 0

    assert removed(runner) == REMOVED
    order = [
        step
        for words in runner.commands
        for step in ("pulumi refresh", *REMOVED, last)
        if words.startswith(step)
    ]
    assert order == ["pulumi refresh", *REMOVED, last]


def test_what_a_killed_up_had_finished_stays(root: Path) -> None:
    """Pulumi lists a creation as pending until a refresh, even if it was finished."""
    finished = [{"type": "docker:index/container:Container", "id": "c0ffee"}]
    runner = ScriptedRunner({**HALF_MADE, **state(pending_operations=BEGUN, resources=finished)})

    assert operator(root, runner).up() == 0

    assert removed(runner) == ["docker network rm f00d"]


def test_a_state_that_was_written_only_in_part_is_reported_with_how_to_restore_it(
    root: Path,
) -> None:
    cut_off = Result(255, "", "error: failed to load checkpoint: EOF")
    runner = ScriptedRunner({"pulumi stack export": cut_off})

    with pytest.raises(OperatorError, match=r"checkpoint: EOF\n(?s:.*)copy STACK\.json\.bak over"):
        operator(root, runner).up()


def test_up_rebuilds_an_image_that_docker_no_longer_has(root: Path) -> None:
    images = [
        {
            "type": "docker:index/image:Image",
            "urn": f"urn:{name}",
            "outputs": {"repoDigest": f"sha256:{name}"},
        }
        for name in ("lost", "there")
    ]
    gone = {"docker image inspect sha256:lost": Result(1, "", "No such image")}
    runner = ScriptedRunner({**state(resources=images), **gone})

    assert operator(root, runner).up() == 0

    assert runner.changing[-1] == "pulumi up --yes --replace urn:lost"


@pytest.mark.parametrize("command", [Operator.up, Operator.down])
def test_a_locked_stack_is_reported_with_how_to_unlock_it(
    root: Path, command: Callable[[Operator], int]
) -> None:
    """The other command may be running, so what it creates stays."""
    locked = "error: the stack is currently locked by 1 lock(s).\n  created by me@here (pid 7)"
    runner = ScriptedRunner({**HALF_MADE, "pulumi refresh": Result(255, "", locked)})

    with pytest.raises(OperatorError) as raised:
        command(operator(root, runner))

    assert "(pid 7)" in str(raised.value)
    assert 'eval "$(make env)" && pulumi cancel --yes dev' in str(raised.value)
    assert removed(runner) == []


@pytest.mark.parametrize(
    ("results", "programs", "why"),
    [
        ({}, {}, "Docker is not installed"),
        ({"docker version": Result(1, "", "Cannot connect")}, PROGRAMS, "Cannot connect"),
        ({"pulumi version": Result(0, "v3.100.0")}, PROGRAMS, "no network here"),
        ({}, {"docker": "/usr/bin/docker"}, "no network here"),
        (
            {"pulumi install": Result(1, "", "403 rate limit")},
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
    assert [words for words in runner.changing if words != "pulumi install --no-dependencies"] == []
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


@pytest.mark.parametrize(
    ("use_digests", "ending"), [("true", "@sha256:1"), ("false", "bookworm"), (False, "bookworm")]
)
def test_a_recorded_digest_is_part_of_the_image_unless_turned_off(
    root: Path, use_digests: object, ending: str
) -> None:
    configure(root, useDigests=use_digests)
    config = read_stack_config(root)
    digests = {config.image_references["pythonImage"]: "sha256:1"}

    assert config.needed_images(digests)["pythonImage"].endswith(ending)


def test_without_a_backend_the_state_is_kept_in_the_checkout_with_a_passphrase(root: Path) -> None:
    runner = ScriptedRunner()

    operator(root, runner).up()

    passphrase = root / ".pulumi-passphrase"
    assert runner.environs[-1]["PULUMI_BACKEND_URL"] == (root / ".pulumi-state").as_uri()
    assert runner.environs[-1]["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(passphrase)
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) > 32


def test_the_passphrase_is_made_once(root: Path) -> None:
    operator(root, ScriptedRunner()).up()
    first = (root / ".pulumi-passphrase").read_text()

    operator(root, ScriptedRunner()).up()

    assert (root / ".pulumi-passphrase").read_text() == first


def test_a_passphrase_in_the_environment_is_used_instead_of_a_file(root: Path) -> None:
    runner = ScriptedRunner()

    operator(root, runner, {"PULUMI_CONFIG_PASSPHRASE": "mine"}).up()

    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in runner.environs[-1]
    assert not (root / ".pulumi-passphrase").exists()


def test_a_logged_in_user_keeps_their_backend(root: Path) -> None:
    who = Result(0, '{"user": "ada", "url": "https://app.pulumi.com/ada"}')
    runner = ScriptedRunner({"pulumi whoami": who})

    operator(root, runner).up()

    assert not any("PULUMI_BACKEND_URL" in environ for environ in runner.environs)
    assert not (root / ".pulumi-state").exists()
    assert not (root / ".pulumi-passphrase").exists()


def test_a_file_backend_of_the_user_is_kept_and_gets_a_passphrase(root: Path) -> None:
    runner = ScriptedRunner({"pulumi whoami": Result(0, '{"url": "file:///srv/state"}')})

    operator(root, runner, {"PULUMI_BACKEND_URL": "file:///srv/state"}).up()

    assert "PULUMI_BACKEND_URL" not in runner.environs[-1]
    assert (root / ".pulumi-passphrase").exists()


def test_a_backend_that_cannot_be_reached_is_not_replaced_by_another(root: Path) -> None:
    runner = ScriptedRunner({"pulumi whoami": Result(255, "", "error: dial tcp: no such host")})

    with pytest.raises(OperatorError, match=r"backend can't be reached: .*no such host"):
        operator(root, runner).up()

    assert not (root / ".pulumi-state").exists()


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


def test_env_without_a_state_says_what_makes_one(root: Path) -> None:
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


def test_commands_go_to_the_docker_host_that_the_stack_is_set_to(root: Path) -> None:
    configure(root, dockerHost="ssh://box")
    runner = ScriptedRunner()

    operator(root, runner).status()

    assert {environ.get("DOCKER_HOST") for environ in runner.environs} == {"ssh://box"}


def test_the_installer_that_fails_is_quoted(root: Path) -> None:
    def broken(_folder: Path) -> None:
        raise subprocess.CalledProcessError(1, "install.sh", output=b"disk full")

    runner = ScriptedRunner(programs={"docker": "/usr/bin/docker"})
    command = Operator(read_stack_config(root), runner, root, {}, install_cli=broken)

    with pytest.raises(OperatorError, match=r"no Pulumi CLI .* installer .* failed: disk full"):
        command.check()
