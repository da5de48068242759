"""How builds and containers reach the internet, and that passwords on the way stay secret."""

from typing import Any

import pytest

from infra.egress import shell_exports
from infra.settings.reading import SettingsError
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, Secret
from tests.infra.pulumi_mocks import CONTAINER, IMAGE, SECRET_MARK, Deployed, deploy
from tests.infra.settings.loading import Load

PASSWORDS = ("proxy-word-1", "proxy-word-2", "index-word-3")
HTTP = f"http://me:{PASSWORDS[0]}@proxy.example:3128"
HTTPS = f"http://me:{PASSWORDS[1]}@proxy.example:3129"
INDEX = f"https://me:{PASSWORDS[2]}@pypi.example/simple"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
COMPANY: dict[str, Any] = {
    "http_proxy": Secret(HTTP),
    "https_proxy": Secret(HTTPS),
    "no_proxy": "intranet.example, 10.0.0.0/8",
    "pip_index_url": Secret(INDEX),
}
DIRECT = (
    "localhost,127.0.0.1,::1,host.docker.internal,172.16.0.0/12,192.168.0.0/16,mistral,"
    "frontier-mistral-ollama-proxy,prometheus,grafana,intranet.example,10.0.0.0/8"
)
PROXIES = {"HTTP_PROXY": HTTP, "HTTPS_PROXY": HTTPS, "NO_PROXY": DIRECT}
ENVIRONMENT = "/run/secrets/environment"


@pytest.fixture(scope="module", params=[EngineMode.MISTRALRS, EngineMode.EMBEDDED], name="deployed")
def _deployed(request: pytest.FixtureRequest) -> Deployed:
    return deploy(Settings(engine=request.param, **COMPANY), ca_certificates=CA)


def exported(deployed: Deployed, container: str) -> str:
    return deployed.files(container)[ENVIRONMENT]


def test_nothing_changes_without_these_settings() -> None:
    deployed = deploy(Settings(engine=EngineMode.EMBEDDED))
    for inputs in deployed.all_inputs(IMAGE).values():
        assert inputs["build"]["args"].keys() == {"BASE_IMAGE"}
        assert "addHosts" not in inputs["build"]
    for inputs in deployed.services().values():
        assert "entrypoints" not in inputs
        assert not [line for line in inputs.get("envs", []) if line.startswith("SSL_")]


def test_builds_that_install_packages_get_all_of_it(deployed: Deployed) -> None:
    wanted = {**PROXIES, "PIP_INDEX_URL": INDEX, "CA_CERTIFICATES": CA}
    args = deployed.inputs(IMAGE, "proxy-image")["build"]["args"]
    assert {name: args[name] for name in wanted} == wanted
    engine = deployed.inputs(IMAGE, "engine-image")["build"]
    installs = engine["context"] == "./embedded_engine"
    assert wanted.keys() & engine["args"].keys() == (wanted.keys() if installs else set())


@pytest.mark.parametrize("container", ["engine-container", "grafana-container"])
def test_the_engine_and_grafana_use_the_proxies(deployed: Deployed, container: str) -> None:
    script = exported(deployed, container)
    for name, value in PROXIES.items():
        assert f"export {name}={value}\n" in script.replace("'", "")


def test_other_containers_use_no_proxy(deployed: Deployed) -> None:
    """They only talk to each other, to the engine and to their clients."""
    for name in ("proxy-container", "prometheus-container"):
        assert "entrypoints" not in deployed.services()[name]


def test_the_image_programs_are_started_with_the_variables(deployed: Deployed) -> None:
    engine = deployed.services()["engine-container"]
    program = (
        ["mistralrs"]
        if "serve" in engine.get("command", [])
        else ["python", "-m", "embedded_engine"]
    )
    shell = ["/bin/sh", "-c", f'. {ENVIRONMENT} && exec "$@"', "sh"]
    assert engine["entrypoints"] == [*shell, *program]
    assert deployed.services()["grafana-container"]["entrypoints"] == [*shell, "/run.sh"]


def test_only_the_embedded_engine_fetches_from_the_package_index() -> None:
    embedded = deploy(Settings(engine=EngineMode.EMBEDDED, **COMPANY))
    assert f"export PIP_INDEX_URL={INDEX}\n" in exported(embedded, "engine-container")
    assert "PIP_" not in exported(deploy(Settings(**COMPANY)), "engine-container")


def test_an_index_without_tls_is_trusted_for_its_host_only() -> None:
    settings = Settings(
        engine=EngineMode.EMBEDDED, pip_index_url=Secret("http://pypi.example:8080/simple")
    )
    deployed = deploy(settings)
    assert deployed.inputs(IMAGE, "proxy-image")["build"]["args"]["PIP_TRUSTED_HOST"] == (
        "pypi.example"
    )
    assert "export PIP_TRUSTED_HOST=pypi.example\n" in exported(deployed, "engine-container")


def test_additional_cas_are_trusted_where_tls_leaves_the_stack() -> None:
    deployed = deploy(Settings(engine=EngineMode.EMBEDDED), ca_certificates=CA)
    services = deployed.services()
    bundle = "/app/ca-certificates.pem"
    assert f"SSL_CERT_FILE={bundle}" in services["proxy-container"]["envs"]
    assert f"SSL_CERT_FILE={bundle}" in services["engine-container"]["envs"]
    assert f"REQUESTS_CA_BUNDLE={bundle}" in services["engine-container"]["envs"]
    file = "/run/secrets/ca-certificates.pem"
    assert f"SSL_CERT_FILE={file}" in services["grafana-container"]["envs"]
    assert deployed.files("grafana-container")[file] == CA


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "pip_index_url"])
def test_a_server_on_the_docker_host_is_reached_by_builds_and_containers(name: str) -> None:
    chosen: dict[str, Any] = {name: Secret("http://host.docker.internal:3128")}
    deployed = deploy(Settings(engine=EngineMode.EMBEDDED, **chosen))
    assert deployed.inputs(IMAGE, "proxy-image")["build"]["addHosts"] == [
        "host.docker.internal:host-gateway"
    ]
    for container in ("engine-container", "grafana-container"):
        (host,) = deployed.services()[container]["hosts"]
        assert host == {"host": "host.docker.internal", "ip": "host-gateway"}


def test_passwords_are_secrets_and_never_where_docker_inspect_shows_them(
    deployed: Deployed,
) -> None:
    everything = [inputs for _, inputs in deployed.raw_inputs()]
    assert [word for word in PASSWORDS if word not in str(everything)] == []
    assert [word for word in PASSWORDS if word in str(_without_secrets(everything))] == []
    containers = deployed.all_inputs(CONTAINER)
    for inputs in containers.values():
        for upload in inputs.get("uploads", []):
            del upload["content"]
    assert [word for word in PASSWORDS if word in str(containers)] == []
    assert [word for word in PASSWORDS if word in str(deployed.outputs)] == []


def test_values_are_quoted_for_the_shell() -> None:
    value = "http://me:a'b $(c)`d`\"e@p:1"
    assert shell_exports({"HTTP_PROXY": Secret(value)}).value == (
        "export HTTP_PROXY='http://me:a'\"'\"'b $(c)`d`\"e@p:1'\n"
    )


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"httpProxy": "proxy:3128"}, "httpProxy: the value is not a URL such as http://host:8080"),
        ({"httpsProxy": "socks5://proxy:1"}, "httpsProxy: the value is not a URL"),
        ({"pipIndexUrl": "pypi.example"}, "pipIndexUrl: the value is not a URL"),
        ({"httpProxy": "http://127.0.0.1:3128"}, "httpProxy: loopback in a container"),
        ({"httpsProxy": "http://u:w@localhost:1"}, "use host.docker.internal as the host name"),
        ({"noProxy": "http://intranet.example"}, "noProxy: 'http://intranet.example' is not a"),
        ({"noProxy": "a b"}, "noProxy: 'a b' is not a host"),
    ],
)
def test_bad_values_are_refused(loaded: Load, values: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(values)
    assert complaint in str(caught.value)
    assert "u:w@" not in str(caught.value)


@pytest.mark.parametrize(
    "hosts", ["*", ".example.org", "a,b", "10.0.0.0/8", "box:8080", "*.example", "[fd00::1]:80"]
)
def test_hosts_without_the_proxy_have_the_usual_forms(loaded: Load, hosts: str) -> None:
    assert loaded({"noProxy": hosts}).no_proxy == hosts


def test_a_password_in_plain_text_is_refused(loaded: Load) -> None:
    with pytest.raises(SettingsError, match="httpsProxy: is stored in plain text"):
        loaded({"httpsProxy": HTTPS}, encrypted=False)


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - raw protocol messages have no types
    if isinstance(value, dict):
        if SECRET_MARK in value:
            return None
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
