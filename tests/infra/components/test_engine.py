"""Each kind of engine, and what the other services know about it."""

import json
import tomllib

import pytest
import yaml

from infra.settings.schema import Settings
from infra.settings.served_models import read_models
from infra.settings.types import Arguments, EngineMode, Secret, Variables
from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.schema import ProxySettings
from tests.infra.pulumi_mocks import CONTAINER, VOLUME, Deployed, deploy

EMBEDDED = Settings(engine=EngineMode.EMBEDDED)
EXTERNAL = Settings(engine=EngineMode.EXTERNAL, mistral_url="http://host.docker.internal:8080")
CUDA = "ghcr.io/ericlbuehler/mistral.rs:cuda-sm89-0.9.4"
EVERY_ENGINE = [Settings(), EMBEDDED, EXTERNAL]


@pytest.fixture(scope="module")
def default() -> Deployed:
    return deploy()


def test_mistralrs_serves_the_model_on_the_engines_port_with_its_cache_on_a_volume() -> None:
    deployed = deploy(Settings(model="org/model", quantization="4", hf_token=Secret("hf_x")))
    inputs = deployed.inputs(CONTAINER, "engine-container")
    assert inputs["command"] == [
        *("serve", "-p", "8080", "-m", "org/model", "--quant", "4", "--max-seqs", "1"),
        *("--prefix-cache-n", "0", "--token-source", "path:/run/secrets/hf-token"),
    ]
    assert deployed.files("engine-container") == {"/run/secrets/hf-token": "hf_x"}
    assert {
        "containerPath": "/data",
        "volumeName": "frontier-model-cache",
        "readOnly": False,
    } in inputs["volumes"]


@pytest.mark.parametrize(
    ("quantization", "gpus", "expected"),
    [("4", "none", True), ("auto", "none", True), ("4", "all", False), ("", "none", False)],
)
def test_only_a_quantized_model_on_a_cpu_gets_one_request_at_a_time(
    quantization: str, gpus: str, *, expected: bool
) -> None:
    """There, Mistral.rs fails prompts of one length that arrive together."""
    image = "ghcr.io/ericlbuehler/mistral.rs:cuda-sm89-0.9.4"
    settings = Settings(mistralrs_image=image, quantization=quantization, gpus=gpus)
    command = deploy(settings).inputs(CONTAINER, "engine-container")["command"]
    assert ("--max-seqs" in command) is expected


@pytest.mark.parametrize(("gpus", "expected"), [("none", True), ("all", False)])
def test_only_an_engine_on_a_cpu_has_no_prefix_cache(gpus: str, *, expected: bool) -> None:
    """There, Mistral.rs would keep the state of each prompt until its memory runs out."""
    command = deploy(Settings(mistralrs_image=CUDA, gpus=gpus)).inputs(
        CONTAINER, "engine-container"
    )["command"]
    assert ("--prefix-cache-n" in command) is expected


def test_the_two_engines_keep_their_models_on_different_volumes() -> None:
    logical: list[str] = []
    physical: list[str] = []
    for settings in (Settings(), EMBEDDED):
        volumes = deploy(settings).all_inputs(VOLUME)
        engines = {name: volumes[name]["name"] for name in volumes if name.startswith("engine-")}
        logical += engines.keys()
        physical += engines.values()
    assert logical == ["engine-model-cache", "engine-embedded-cache"]
    assert physical == ["frontier-model-cache", "frontier-embedded-cache"]


def test_the_embedded_engine_keeps_its_models_on_its_own_volume() -> None:
    mounts = deploy(EMBEDDED).inputs(CONTAINER, "engine-container")["volumes"]
    assert {
        "containerPath": "/models",
        "volumeName": "frontier-embedded-cache",
        "readOnly": False,
    } in mounts


def test_the_embedded_engine_reads_the_token_from_its_file() -> None:
    deployed = deploy(Settings(engine=EngineMode.EMBEDDED, hf_token=Secret("hf_x")))
    envs = deployed.inputs(CONTAINER, "engine-container")["envs"]
    assert "HF_TOKEN_PATH=/run/secrets/hf-token" in envs
    assert deployed.files("engine-container") == {"/run/secrets/hf-token": "hf_x"}


@pytest.mark.parametrize("mode", [EngineMode.MISTRALRS, EngineMode.EMBEDDED])
def test_no_token_is_passed_if_none_is_set(mode: EngineMode) -> None:
    deployed = deploy(Settings(engine=mode))
    inputs = deployed.inputs(CONTAINER, "engine-container")
    assert "token" not in str([inputs.get("command"), inputs["envs"]]).lower()
    assert "engine-container-files" not in deployed.of(CONTAINER)


@pytest.mark.parametrize("mode", [EngineMode.MISTRALRS, EngineMode.EMBEDDED])
def test_a_model_folder_of_the_host_is_mounted_read_only(mode: EngineMode) -> None:
    deployed = deploy(Settings(engine=mode, model="/srv/models/tiny"))
    inputs = deployed.inputs(CONTAINER, "engine-container")
    assert inputs["mounts"] == [
        {
            "type": "bind",
            "source": "/srv/models/tiny",
            "target": "/local-models/tiny",
            "readOnly": True,
        }
    ]
    passed = [*inputs.get("command", []), *inputs["envs"]]
    assert [text for text in passed if text.endswith("/local-models/tiny")]


@pytest.mark.parametrize(
    ("gpus", "count", "ids"),
    [("all", -1, []), ("2", 2, []), ("device=1,0", 0, ["1", "0"]), ("device=0:1", 0, ["0:1"])],
)
def test_gpus_are_asked_for_in_full(gpus: str, count: int, ids: list[str]) -> None:
    engine = deploy(Settings(gpus=gpus, mistralrs_image=CUDA)).inputs(CONTAINER, "engine-container")
    assert engine["deviceRequests"] == [
        {"driver": "nvidia", "count": count, "deviceIds": ids, "capabilities": ["gpu"]}
    ]
    assert "gpus" not in engine


@pytest.mark.parametrize(("memory", "shared"), [(8192, 4096), (65536, 32768), (100, 64)])
def test_gpus_get_shared_memory_that_nccl_can_work_with(memory: int, shared: int) -> None:
    chosen = Settings(gpus="all", mistralrs_image=CUDA, engine_memory_mb=memory)
    assert deploy(chosen).inputs(CONTAINER, "engine-container")["shmSize"] == shared


def test_no_gpus_are_requested_by_default(default: Deployed) -> None:
    engine = default.inputs(CONTAINER, "engine-container")
    assert not engine.keys() & {"gpus", "deviceRequests", "shmSize"}


def test_an_external_engine_needs_no_container_and_is_reached_on_the_docker_host() -> None:
    deployed = deploy(EXTERNAL)
    assert "engine-container" not in deployed.of(CONTAINER)
    proxy = deployed.inputs(CONTAINER, "proxy-container")
    assert "MISTRAL_URL=http://host.docker.internal:8080" in proxy["envs"]
    assert proxy["hosts"] == [{"host": "host.docker.internal", "ip": "host-gateway"}]


def test_the_proxy_reaches_the_engine_by_its_alias(default: Deployed) -> None:
    envs = default.inputs(CONTAINER, "proxy-container")["envs"]
    assert "MISTRAL_URL=http://mistral:8080" in envs
    assert "BIND_ADDRESS=0.0.0.0:11434" in envs


def test_the_proxy_has_the_limits_in_the_settings() -> None:
    chosen = Settings(max_concurrent_requests=3, max_queued_requests=0)
    envs = deploy(chosen).inputs(CONTAINER, "proxy-container")["envs"]
    assert "MAX_CONCURRENT_REQUESTS=3" in envs
    assert "MAX_QUEUED_REQUESTS=0" in envs


def test_the_proxy_gets_the_model_details_in_the_settings() -> None:
    details = '{"Qwen/Qwen3-0.6B": {"context_length": 32768}}'
    envs = deploy(Settings(model_details=details)).inputs(CONTAINER, "proxy-container")["envs"]
    assert f"MODEL_DETAILS={details}" in envs


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://[fd00::1]:8080", "[fd00::1]:8080"),
        ("http://[fd00::1]", "[fd00::1]:80"),
        ("http://box.example", "box.example:80"),
        # A reverse proxy, whose metrics may be anywhere.
        ("http://gateway.example/mistral", None),
    ],
)
def test_prometheus_scrapes_an_external_engine_at_its_address(url: str, target: str | None) -> None:
    external = deploy(Settings(engine=EngineMode.EXTERNAL, mistral_url=url))
    config = external.files("prometheus-container")["/etc/prometheus/prometheus.yml"]
    jobs = {job["job_name"]: job for job in yaml.safe_load(config)["scrape_configs"]}
    targets = jobs["mistralrs"]["static_configs"][0]["targets"] if target else None
    assert targets == ([target] if target else None)
    assert ("mistralrs" in jobs) is bool(target)


@pytest.mark.parametrize("settings", EVERY_ENGINE, ids=lambda chosen: chosen.engine.value)
def test_prometheus_scrapes_every_service(settings: Settings) -> None:
    config = deploy(settings).files("prometheus-container")["/etc/prometheus/prometheus.yml"]
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"]
        for job in yaml.safe_load(config)["scrape_configs"]
    }
    expected = {
        "mistral": ["frontier-mistral-ollama-proxy:11434"],
        "prometheus": ["localhost:9090"],
        "grafana": ["grafana:3000"],
    }
    external = settings.engine is EngineMode.EXTERNAL
    engine = "host.docker.internal:8080" if external else "mistral:8080"
    assert jobs == {**expected, "mistralrs": [engine]}


MODELS = read_models(
    '{"qwen": {"model": "Qwen/Qwen3-0.6B", "contextLength": 4096},'
    ' "big": {"model": "/srv/models/big", "quantization": "4"}}'
)


def test_several_models_are_served_from_a_file_under_the_names_that_clients_use() -> None:
    deployed = deploy(Settings(models=MODELS, hf_token=Secret("hf_x"), context_length=2048))
    engine = deployed.inputs(CONTAINER, "engine-container")
    assert engine["command"] == ["from-config", "--file", "/run/secrets/mistralrs.toml"]
    files = deployed.files("engine-container")
    assert files["/run/secrets/hf-token"] == "hf_x"
    config = tomllib.loads(files["/run/secrets/mistralrs.toml"])
    assert [model["model_id"] for model in config["models"]] == [
        "Qwen/Qwen3-0.6B",
        "/local-models/big/big",
    ]
    assert config["runtime"] == {"max_seqs": 1, "prefix_cache_n": 0}
    assert [mount["target"] for mount in engine["mounts"]] == ["/local-models/big/big"]
    details = ProxySettings.from_environ(_environment(deployed)).model_details
    assert details == {
        "Qwen/Qwen3-0.6B": ModelDetails(name="qwen", context_length=4096),
        "/local-models/big/big": ModelDetails(name="big", context_length=2048),
    }


@pytest.mark.parametrize("name", ["Qwen/Qwen3-0.6B", "qwen/qwen3-0.6b:latest"])
def test_clients_are_told_the_context_length_beside_what_the_settings_say(name: str) -> None:
    """What ``modelDetails`` says goes first, under whichever name."""
    said = json.dumps({name: {"family": "qwen3"}, "other": {"size": 1}})
    deployed = deploy(Settings(context_length=2048, model_details=said))
    details = ProxySettings.from_environ(_environment(deployed)).model_details
    assert details == {
        "Qwen/Qwen3-0.6B": ModelDetails(family="qwen3", context_length=2048),
        "other": ModelDetails(size=1),
    }
    said = json.dumps({name: {"context_length": 5}})
    deployed = deploy(Settings(context_length=2048, model_details=said))
    details = ProxySettings.from_environ(_environment(deployed)).model_details
    assert details["Qwen/Qwen3-0.6B"].context_length == 5


def test_the_rest_of_the_arguments_and_variables_are_passed_on() -> None:
    settings = Settings(
        engine_args=Arguments(("--dtype", "bf16")),
        engine_environment=Variables({"RUST_LOG": "debug"}),
        max_seqs=7,
        prefix_cache_size=3,
        quantization="4",
    )
    engine = deploy(settings).inputs(CONTAINER, "engine-container")
    assert engine["command"] == [
        *("serve", "-p", "8080", "-m", "Qwen/Qwen3-0.6B", "--quant", "4"),
        *("--max-seqs", "7", "--prefix-cache-n", "3", "--dtype", "bf16"),
    ]
    assert "RUST_LOG=debug" in engine["envs"]


def _environment(deployed: Deployed) -> dict[str, str]:
    envs = deployed.inputs(CONTAINER, "proxy-container")["envs"]
    return dict(text.split("=", 1) for text in envs)
