"""What the program registers with Pulumi's engine."""

import json
import runpy
import socket
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest
import yaml

from alerts.grafana import rule_groups
from infra.docker_endpoint import DockerEndpoint
from infra.images import platform_of
from infra.settings.grammar import is_exact_image
from infra.settings.reading import SettingsError
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, Secret, ServiceMode
from monitoring.names import DATASOURCE_UID
from monitoring.thresholds import Thresholds
from tests.infra import pulumi_mocks
from tests.infra.docker_contexts import engine, make_context, use
from tests.infra.pulumi_mocks import (
    CONTAINER,
    DOCKER,
    GRAFANA,
    IMAGE,
    NETWORK,
    REMOTE_IMAGE,
    VOLUME,
    Deployed,
    deploy,
    tail,
)

ROOT = Path(__file__).parents[2]
EMBEDDED = Settings(engine=EngineMode.EMBEDDED)


@pytest.fixture(scope="module")
def default() -> Deployed:
    return deploy()


def test_the_default_stack_is_exactly_this(default: Deployed) -> None:
    """The parent of each resource is the component that owns it."""
    owners = {key: tail(request.parent) for key, request in default.requests.items()}
    content = ("frontier:infra:GrafanaContent", "grafana-content")
    engine = ("frontier:infra:Engine", "engine")
    proxy = ("frontier:infra:Proxy", "proxy")
    prometheus = ("frontier:infra:Prometheus", "prometheus")
    grafana = ("frontier:infra:Grafana", "grafana")
    root = ("pulumi:pulumi:Stack", "frontier-dev")
    expected = {
        (DOCKER, "docker"): root,
        (GRAFANA, "grafana-api"): root,
        (NETWORK, "network"): root,
        engine: root,
        proxy: root,
        prometheus: root,
        grafana: root,
        content: root,
        (IMAGE, "engine-image"): engine,
        (VOLUME, "engine-model-cache"): engine,
        (CONTAINER, "engine-container"): engine,
        (IMAGE, "proxy-image"): proxy,
        (CONTAINER, "proxy-container"): proxy,
        (REMOTE_IMAGE, "prometheus-image"): prometheus,
        (VOLUME, "prometheus-data"): prometheus,
        (CONTAINER, "prometheus-container-files"): prometheus,
        (CONTAINER, "prometheus-container"): prometheus,
        (REMOTE_IMAGE, "grafana-image"): grafana,
        (VOLUME, "grafana-data"): grafana,
        (CONTAINER, "grafana-container-files"): grafana,
        (CONTAINER, "grafana-container"): grafana,
        (pulumi_mocks.FOLDER, "grafana-content-folder"): content,
        (pulumi_mocks.DATA_SOURCE, "grafana-content-prometheus"): content,
        (pulumi_mocks.DASHBOARD, "grafana-content-overview"): content,
        **{
            (pulumi_mocks.ANNOTATION, f"grafana-content-deployed-{what}"): content
            for what in ("engine", "proxy", "prometheus")
        },
        **{
            (pulumi_mocks.RULE_GROUP, f"grafana-content-rules-{group.name}"): content
            for group in rule_groups(Thresholds(), DATASOURCE_UID)
        },
    }
    assert expected.keys() == owners.keys()
    below_a_component = {key: owner for key, owner in expected.items() if owner != root}
    assert below_a_component == {key: owners[key] for key in below_a_component}


def test_container_names_are_the_documented_ones(default: Deployed) -> None:
    names = {inputs["name"] for inputs in default.services().values()}
    assert names == {
        "frontier-mistral",
        "frontier-mistral-ollama-proxy",
        "frontier-prometheus",
        "frontier-grafana",
    }


def test_all_containers_join_one_network_by_its_id_under_their_alias(default: Deployed) -> None:
    aliases = {}
    for name, inputs in default.services().items():
        (network,) = inputs["networksAdvanced"]
        assert network["name"] == "network-id"
        aliases[name] = network["aliases"]
    assert aliases == {
        "engine-container": ["mistral"],
        "proxy-container": ["frontier-mistral-ollama-proxy"],
        "prometheus-container": ["prometheus"],
        "grafana-container": ["grafana"],
    }


def test_only_what_users_need_is_published_at_the_address_and_ports_in_the_settings() -> None:
    deployed = deploy(
        Settings(
            bind_address="192.0.2.7",
            grafana_admin_password=Secret("own"),
            proxy_port=1,
            prometheus_bind_address="192.0.2.8",
            prometheus_port=2,
            grafana_port=3,
        )
    )
    published = {
        name: [(port["ip"], port["external"], port["internal"]) for port in inputs.get("ports", [])]
        for name, inputs in deployed.services().items()
    }
    assert published == {
        "engine-container": [],
        "proxy-container": [("192.0.2.7", 1, 11434)],
        "prometheus-container": [("192.0.2.8", 2, 9090)],
        "grafana-container": [("192.0.2.7", 3, 3000)],
    }


@pytest.mark.parametrize(
    ("settings", "engine"),
    [
        pytest.param(Settings(), ("infra/mistralrs", Settings().mistralrs_image), id="mistralrs"),
        pytest.param(EMBEDDED, ("embedded_engine", Settings().python_image), id="embedded"),
    ],
)
def test_images_are_built_from_relative_folders_and_never_pushed(
    settings: Settings, engine: tuple[str, str]
) -> None:
    expected = {"engine-image": engine, "proxy-image": ("proxy_service", settings.python_image)}
    images = deploy(settings).all_inputs(IMAGE)
    for name, (folder, base_image) in expected.items():
        build = images[name]["build"]
        assert build["context"] == f".run/images/{folder}"
        assert build["dockerfile"] == f".run/images/{folder}/Dockerfile"
        assert (ROOT / build["dockerfile"]).is_file()
        assert build["args"] == {"BASE_IMAGE": base_image}
        assert images[name]["skipPush"] is True
    assert expected.keys() == images.keys()


def test_buildkit_builds_for_the_platform_in_the_settings() -> None:
    deployed = deploy(Settings(platform="linux/arm64"))
    build = deployed.inputs(IMAGE, "proxy-image")["build"]
    assert (build["builderVersion"], build["platform"]) == ("BuilderBuildKit", "linux/arm64")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("x86_64", "linux/amd64"), ("AMD64", "linux/amd64"), ("arm64", "linux/arm64")],
)
def test_images_are_built_for_this_machine_by_default(machine: str, expected: str) -> None:
    assert platform_of(machine) == expected


def test_a_container_runs_the_image_that_was_built_or_pulled(default: Deployed) -> None:
    """By id: a changed image replaces its container, an unchanged one does not."""
    images = {name: inputs["image"] for name, inputs in default.services().items()}
    assert images == {
        "engine-container": "sha256:built",
        "proxy-container": "sha256:built",
        "prometheus-container": "sha256:pulled",
        "grafana-container": "sha256:pulled",
    }


def test_pulled_images_are_exact_versions_and_stay_on_the_machine(default: Deployed) -> None:
    for name, inputs in default.all_inputs(REMOTE_IMAGE).items():
        assert ":" in inputs["name"], name
        assert not inputs["name"].endswith("latest")
        assert inputs["keepLocally"] is True


def test_a_recorded_digest_is_used_unless_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "sha256:" + 64 * "0"
    reference = Settings().grafana_image
    monkeypatch.setattr("infra.image_digests.recorded_digests", lambda: {reference: digest})
    with_digest = deploy().inputs(REMOTE_IMAGE, "grafana-image")["name"]
    without = deploy(Settings(use_digests=False)).inputs(REMOTE_IMAGE, "grafana-image")["name"]
    assert (with_digest, without) == (f"{reference}@{digest}", reference)


def test_an_edit_cannot_delete_data_volumes(default: Deployed) -> None:
    for name, request in default.of(VOLUME).items():
        assert set(request.ignoreChanges) == {"labels", "driverOpts"}, name
        assert "labels" not in default.inputs(VOLUME, name)
        assert not request.protect


def test_protect_data_protects_every_volume() -> None:
    volumes = deploy(Settings(protect_data=True)).of(VOLUME)
    assert {name: request.protect for name, request in volumes.items()} == dict.fromkeys(
        volumes, True
    )


def test_models_and_samples_outlive_the_stack_but_grafanas_database_does_not(
    default: Deployed,
) -> None:
    kept = {name: request.retainOnDelete for name, request in default.of(VOLUME).items()}
    assert kept == {"engine-model-cache": True, "prometheus-data": True, "grafana-data": False}


def test_an_edited_alert_changes_only_prometheus_and_the_rule_group(default: Deployed) -> None:
    thresholds = Thresholds(slow_generation_seconds=31)
    edited = deploy(Settings(alert_thresholds=thresholds))
    changed = {
        key
        for key, request in edited.requests.items()
        if request.object != default.requests[key].object
    }
    # The files' container gets another id, which replaces Prometheus' own. The dashboard draws the
    # threshold as a line.
    assert changed - {(pulumi_mocks.DASHBOARD, "grafana-content-overview")} == {
        (CONTAINER, "prometheus-container-files"),
        (pulumi_mocks.RULE_GROUP, "grafana-content-rules-mistral"),
    }


def test_scrapes_rules_and_grafanas_rules_follow_the_scrape_interval(default: Deployed) -> None:
    def waits(deployed: Deployed) -> tuple[str, str, str]:
        files = deployed.files("prometheus-container").values()
        (config,) = (yaml.safe_load(text) for text in files if "scrape_configs:" in text)
        (rules,) = (yaml.safe_load(text) for text in files if "groups:" in text)
        (down,) = (r for r in rules["groups"][0]["rules"] if r.get("alert") == "MistralDown")
        in_grafana = deployed.inputs(pulumi_mocks.RULE_GROUP, "grafana-content-rules-mistral")
        return config["global"]["scrape_interval"], down["for"], in_grafana["rules"][0]["for"]

    assert waits(default) == ("15s", "1m", "1m")
    assert waits(deploy(Settings(scrape_interval_seconds=60))) == ("60s", "3m", "3m")


def test_an_external_prometheus_needs_no_container() -> None:
    deployed = deploy(
        Settings(prometheus=ServiceMode.EXTERNAL, prometheus_url="http://prom.example:9090/")
    )
    assert "prometheus-container" not in deployed.of(CONTAINER)
    assert deployed.outputs["prometheusUrl"] == "http://prom.example:9090"


def test_two_stacks_share_no_physical_name(default: Deployed) -> None:
    """Aliases stay: they are names inside each stack's own network."""
    second = deploy(stack_name="two")
    for kind in (CONTAINER, NETWORK, VOLUME):
        one, two = (
            {inputs["name"] for inputs in stack.all_inputs(kind).values()}
            for stack in (default, second)
        )
        assert not one & two
        assert {f"{name}-two" for name in one} == two
    tags = [stack.inputs(IMAGE, "proxy-image")["imageName"] for stack in (default, second)]
    assert tags == [
        "frontier-mistral-ollama-proxy:local",
        "frontier-mistral-ollama-proxy:local-two",
    ]


def test_a_stacks_name_may_have_capital_letters() -> None:
    """Docker allows them in tags, and in the names of containers and volumes, but not of images."""
    for inputs in deploy(stack_name="Prod.1_x").all_inputs(IMAGE).values():
        assert is_exact_image(inputs["imageName"])


def test_the_docker_host_is_the_one_in_the_settings(default: Deployed) -> None:
    assert "host" not in default.inputs(DOCKER, "docker")
    assert deploy(Settings(docker_host="ssh://box")).inputs(DOCKER, "docker")["host"] == "ssh://box"


def test_the_engine_of_a_docker_context_is_handed_to_the_provider() -> None:
    """The provider doesn't look for a context's TLS files, nor for contexts that are current."""
    endpoint = DockerEndpoint("tcp://box:2376", "the Docker context box", "/home/me/tls")
    provider = deploy(endpoint=endpoint).inputs(DOCKER, "docker")
    assert (provider["host"], provider["certPath"]) == ("tcp://box:2376", "/home/me/tls")


@pytest.mark.parametrize("docker_host", ["", "ssh://box"])
def test_the_provider_does_not_look_for_a_context_itself(docker_host: str) -> None:
    """It would prefer DOCKER_CONTEXT to the host that it is given."""
    provider = deploy(Settings(docker_host=docker_host)).inputs(DOCKER, "docker")
    assert provider["context"] == ""


def test_every_docker_resource_uses_the_stacks_own_provider(default: Deployed) -> None:
    for (kind, name), request in default.requests.items():
        if kind.startswith("docker:"):
            assert tail(request.provider.rpartition("::")[0]) == (DOCKER, "docker"), name


def test_a_proxy_on_loopback_asks_for_no_key_and_accepts_its_own_names(default: Deployed) -> None:
    """The container itself listens on all addresses and can't see where its port is published."""
    envs = default.inputs(CONTAINER, "proxy-container")["envs"]
    assert "ALLOW_UNAUTHENTICATED=true" in envs
    assert "ALLOWED_HOSTS=127.0.0.1,frontier-mistral-ollama-proxy" in envs


def test_a_proxy_that_other_machines_reach_accepts_any_name() -> None:
    key = Secret("0123456789abcdef")
    envs = deploy(Settings(bind_address="0.0.0.0", api_key=key)).inputs(
        CONTAINER, "proxy-container"
    )["envs"]
    assert not [text for text in envs if text.startswith(("ALLOWED_HOSTS", "ALLOW_UNAUTH"))]


def test_the_outputs_have_every_url(default: Deployed) -> None:
    shown = {name: value for name, value in default.outputs.items() if isinstance(value, str)}
    assert shown == {
        "proxyUrl": "http://127.0.0.1:11434",
        "metricsUrl": "http://127.0.0.1:11434/metrics",
        "prometheusUrl": "http://127.0.0.1:9090",
        "grafanaUrl": "http://localhost:3000",
        "dashboardUrl": "http://localhost:3000/d/mistral-metrics",
        "engineUrl": "http://mistral:8080",
        "engine": "mistralrs",
        "prometheusCaFile": "",
        "datasourceUid": "mistral-prometheus",
        "grafanaRules": "current",
        "grafanaUser": "admin",
    }


@pytest.mark.parametrize(
    ("settings", "address", "url"),
    [
        pytest.param(Settings(), "127.0.0.1", "127.0.0.1", id="default"),
        pytest.param(Settings(bind_address="127.0.0.2"), "127.0.0.2", "127.0.0.2", id="loopback"),
        pytest.param(
            Settings(advertised_host="box.example"), "127.0.0.1", "box.example", id="forwarded"
        ),
        pytest.param(
            Settings(bind_address="0.0.0.0", advertised_host="box.example"),
            "127.0.0.1",
            "127.0.0.1",
            id="hidden",
        ),
        pytest.param(
            Settings(bind_address="192.0.2.7", prometheus_bind_address="0.0.0.0"),
            "0.0.0.0",
            "127.0.0.1",
            id="asked for",
        ),
        pytest.param(
            Settings(prometheus_bind_address="192.0.2.8", advertised_host="box.example"),
            "192.0.2.8",
            "box.example",
            id="asked for, with a name",
        ),
    ],
)
def test_prometheus_is_published_beyond_loopback_only_if_that_is_asked_for(
    settings: Settings, address: str, url: str
) -> None:
    """It has no login."""
    deployed = deploy(settings)
    (port,) = deployed.inputs(CONTAINER, "prometheus-container")["ports"]
    assert port["ip"] == address
    assert deployed.outputs["prometheusUrl"] == f"http://{url}:9090"


def test_the_dashboard_links_to_prometheus_where_browsers_reach_it() -> None:
    def links(settings: Settings) -> list[str]:
        board = deploy(settings).inputs(pulumi_mocks.DASHBOARD, "grafana-content-overview")
        return [link["title"] for link in json.loads(board["configJson"])["links"]]

    assert links(Settings()) == ["Prometheus"]
    assert links(Settings(bind_address="0.0.0.0")) == []
    assert links(Settings(bind_address="0.0.0.0", prometheus_bind_address="0.0.0.0"))
    external = Settings(prometheus=ServiceMode.EXTERNAL, prometheus_url="http://p.example")
    assert links(replace(external, bind_address="0.0.0.0")) == ["Prometheus"]


OWN_PASSWORD = Settings(grafana_admin_password=Secret("own"))


@pytest.mark.parametrize(
    ("settings", "domain"),
    [
        pytest.param(Settings(), "localhost", id="default"),
        pytest.param(Settings(grafana_port=3001), "localhost", id="port"),
        pytest.param(Settings(bind_address="127.0.0.2"), "127.0.0.2", id="other loopback"),
        pytest.param(Settings(advertised_host="127.0.0.1"), "127.0.0.1", id="forwarded ports"),
        pytest.param(Settings(advertised_host="box.example"), "box.example", id="name"),
        # What Grafana sees of "[fd00::1]:3000": it cuts a Host header at the first colon.
        pytest.param(Settings(advertised_host="fd00::1"), "[fd00", id="IPv6"),
    ],
)
def test_grafana_with_the_default_password_accepts_only_the_name_in_its_url(
    settings: Settings, domain: str
) -> None:
    deployed = deploy(settings)
    envs = deployed.inputs(CONTAINER, "grafana-container")["envs"]
    url = deployed.outputs["grafanaUrl"]
    assert url.startswith(f"http://{domain}:")
    assert {
        "GF_SERVER_ENFORCE_DOMAIN=true",
        f"GF_SERVER_DOMAIN={domain}",
        f"GF_SERVER_ROOT_URL={url}",
    } <= set(envs)
    assert deployed.inputs(GRAFANA, "grafana-api")["url"] == url


@pytest.mark.parametrize(
    "settings",
    [OWN_PASSWORD, replace(OWN_PASSWORD, bind_address="0.0.0.0", allow_unauthenticated=True)],
)
def test_grafana_with_a_password_of_ones_own_accepts_any_name(settings: Settings) -> None:
    """Reverse proxies pass on theirs."""
    envs = deploy(settings).inputs(CONTAINER, "grafana-container")["envs"]
    assert "GF_SERVER_ENFORCE_DOMAIN=false" in envs


def test_an_ipv6_address_is_in_brackets_in_urls() -> None:
    outputs = deploy(Settings(advertised_host="fd00::1")).outputs
    assert outputs["proxyUrl"] == "http://[fd00::1]:11434"
    assert outputs["grafanaUrl"] == "http://[fd00::1]:3000"


def run_root_program(config: dict[str, str]) -> pulumi_mocks.Monitor:
    """Run ``__main__.py``, as ``pulumi up`` does."""
    pulumi.runtime.set_all_config({f"frontier:{name}": value for name, value in config.items()}, [])
    recorded = pulumi_mocks.start(preview=True)
    try:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
    finally:
        pulumi_mocks.finish()
        pulumi.runtime.set_all_config({}, [])
    return recorded


@pytest.fixture(name="docker_config")
def _docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the docker CLI's folder of an operator who has configured nothing."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("docker_config")
def test_the_root_program_builds_the_stack() -> None:
    """``pulumi up`` runs ``__main__.py`` and nothing else."""
    recorded = run_root_program({"engine": "embedded"})
    assert (IMAGE, "engine-image") in recorded.requests
    assert "host" not in recorded.requests[DOCKER, "docker"].object


def test_the_root_program_uses_the_current_docker_context(docker_config: Path) -> None:
    make_context(docker_config, "box", "ssh://me@box")
    use(docker_config, "box")
    recorded = run_root_program({"advertisedHost": "box.example", "bindAddress": "127.0.0.1"})
    assert recorded.requests[DOCKER, "docker"].object["host"] == "ssh://me@box"


def test_an_engine_that_cannot_be_reached_stops_the_root_program(docker_config: Path) -> None:
    """Pulumi's provider would not say which context named it."""
    make_context(docker_config, "colima", "unix:///nowhere/docker.sock")
    use(docker_config, "colima")
    with pytest.raises(SettingsError, match=r"\(the Docker context colima\): .*No such"):
        run_root_program({})


def test_a_context_that_does_not_exist_stops_the_root_program(docker_config: Path) -> None:
    use(docker_config, "gone")
    with pytest.raises(SettingsError, match="dockerHost: the Docker context gone doesn't exist"):
        run_root_program({})


def test_a_model_folder_that_does_not_exist_stops_the_root_program(
    docker_config: Path, tmp_path: Path
) -> None:
    """Docker would report it only when it creates the container."""
    info = json.dumps({"Name": socket.gethostname()}).encode()
    with engine(tmp_path / "d.sock", info) as host:
        make_context(docker_config, "here", host)
        use(docker_config, "here")
        with pytest.raises(SettingsError, match="model: there is no /nowhere/tiny on the"):
            run_root_program({"model": "/nowhere/tiny"})
        assert run_root_program({"model": str(tmp_path)}).requests


@pytest.mark.parametrize(
    ("image", "in_file"),
    [(Settings().prometheus_image, True), ("prom/prometheus:v2.55.1", False)],
)
def test_samples_are_kept_as_long_as_set_with_every_version(image: str, *, in_file: bool) -> None:
    deployed = deploy(Settings(prometheus_image=image, prometheus_retention="33d"))
    flags = deployed.services()["prometheus-container"]["command"]
    config = yaml.safe_load(
        deployed.files("prometheus-container")["/etc/prometheus/prometheus.yml"]
    )
    assert ("--storage.tsdb.retention.time=33d" in flags) == (not in_file)
    kept = config.get("storage", {}).get("tsdb", {}).get("retention")
    assert kept == ({"time": "33d"} if in_file else None)
