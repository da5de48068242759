"""The Ollama-compatible proxy: built here, without data, and the engine's only published access."""

from dataclasses import dataclass

import pulumi

from infra import images
from infra.container import (
    SECRETS_FOLDER,
    ContainerSpec,
    Files,
    HealthCheck,
    Placement,
    Publication,
    run,
)
from infra.egress import IMAGE_CA_FILE
from infra.secret_output import secret_output
from infra.settings.types import Secret
from infra.topology import PROXY

MEMORY_MB = 1024
API_KEY_FILE = f"{SECRETS_FOLDER}/api-key"
METRICS_KEY_FILE = f"{SECRETS_FOLDER}/metrics-key"


@dataclass(frozen=True)
class ProxyArgs:
    """What the proxy depends on.

    Attributes:
        placement: Stack and network.
        build: How its image is built.
        engine_url: Base URL of the engine, as this container reaches it.
        model_details: Details of models that the engine does not report, as JSON; may be empty.
        host_gateway: Whether that URL leads to the Docker host.
        publication: Address and port on the host.
        max_concurrent_requests: How many generations and embeddings the engine gets at once.
        max_queued_requests: How many more may wait in the queue.
        hosts: Host names that requests may use besides local ones; empty for any.
        api_key: Key that clients must send; empty for none.
        metrics_key: Key that Prometheus sends; set whenever ``api_key`` is.
        wait_seconds: How long ``up`` waits for it to become healthy.
        trusts_more_cas: Whether it trusts the image's additional CAs, for an engine with TLS.
    """

    placement: Placement
    build: images.Build
    engine_url: str
    model_details: str
    host_gateway: bool
    publication: Publication
    max_concurrent_requests: int
    max_queued_requests: int
    hosts: tuple[str, ...]
    api_key: Secret
    metrics_key: Secret
    wait_seconds: int
    trusts_more_cas: bool


def proxy_spec(args: ProxyArgs, image: pulumi.Input[str]) -> ContainerSpec:
    """Describe the proxy's container."""
    return ContainerSpec(
        member=PROXY,
        image=image,
        health_check=HealthCheck(command=("python", "-m", "proxy_service.healthcheck")),
        wait_seconds=args.wait_seconds,
        memory_mb=MEMORY_MB,
        user=images.PROXY_USER,
        environment={
            "MISTRAL_URL": args.engine_url,
            "MODEL_DETAILS": args.model_details,
            "BIND_ADDRESS": f"0.0.0.0:{PROXY.port}",
            "MAX_CONCURRENT_REQUESTS": str(args.max_concurrent_requests),
            "MAX_QUEUED_REQUESTS": str(args.max_queued_requests),
            **_access(args),
            **({"SSL_CERT_FILE": IMAGE_CA_FILE} if args.trusts_more_cas else {}),
        },
        files=_key_files(args),
        publication=args.publication,
        host_gateway=args.host_gateway,
    )


def _access(args: ProxyArgs) -> dict[str, str]:
    hosts = {"ALLOWED_HOSTS": ",".join(args.hosts)} if args.hosts else {}
    if not args.api_key:
        return hosts | {"ALLOW_UNAUTHENTICATED": "true"}
    return hosts | {"API_KEY_FILE": API_KEY_FILE, "METRICS_KEY_FILE": METRICS_KEY_FILE}


def _key_files(args: ProxyArgs) -> Files | None:
    if not args.api_key:
        return None
    keys = {
        API_KEY_FILE: secret_output(args.api_key),
        METRICS_KEY_FILE: secret_output(args.metrics_key),
    }
    return Files(SECRETS_FOLDER, keys)


class Proxy(pulumi.ComponentResource):
    """Image and container of the proxy."""

    def __init__(
        self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("frontier:infra:Proxy", name, {}, opts)
        image = images.built(
            f"{name}-image",
            "proxy_service",
            PROXY.container,
            build=args.build,
            stack=args.placement.stack,
            parent=self,
        )
        spec = proxy_spec(args, image.repo_digest)
        self.container = run(f"{name}-container", spec, args.placement, parent=self)
        self.register_outputs({})
