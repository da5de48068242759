"""Prometheus' container, with its configuration and rules as files and its samples on a volume."""

from dataclasses import dataclass

import pulumi

from infra import images
from infra.container import (
    ContainerSpec,
    Files,
    HealthCheck,
    Mount,
    Placement,
    Publication,
    run,
)
from infra.prometheus_config import PROTECTIVE_FLAGS
from infra.secret_output import secret_output
from infra.settings.types import Secret
from infra.storage import data_volume
from infra.topology import PROMETHEUS, PROMETHEUS_VOLUME, RULES_FOLDER
from monitoring.names import RULES_FILE_NAME

# A hundred of the largest queries that it accepts took this much; four at a time run.
MEMORY_MB = 2048

# The image's own user, nobody, who owns its data folder.
USER = "65534:65534"

CONFIG_FOLDER = "/etc/prometheus"
DATA_FOLDER = "/prometheus"
PROXY_KEY_FILE = f"{CONFIG_FOLDER}/proxy-metrics-key"


@dataclass(frozen=True)
class PrometheusArgs:
    """What Prometheus depends on.

    Attributes:
        placement: Stack and network.
        image: Its image's reference.
        config: Text of ``prometheus.yml``.
        rules: Text of the rule file.
        proxy_key: Key for the proxy's metrics; empty if the proxy asks for none.
        retention_flag: The flag for how long samples are kept; empty if the configuration says so.
        publication: Address and port on the host.
        wait_seconds: How long ``up`` waits for it to become healthy.
        protect_data: Whether Pulumi refuses to delete its volume.
        host_gateway: Whether it scrapes a target on the Docker host.
    """

    placement: Placement
    image: str
    config: str
    rules: str
    proxy_key: Secret
    retention_flag: str
    publication: Publication
    wait_seconds: int
    protect_data: bool
    host_gateway: bool


def prometheus_spec(
    args: PrometheusArgs, image: pulumi.Input[str], data: pulumi.Input[str]
) -> ContainerSpec:
    """Describe Prometheus' container."""
    health_url = f"http://127.0.0.1:{PROMETHEUS.port}{PROMETHEUS.health_path}"
    return ContainerSpec(
        member=PROMETHEUS,
        image=image,
        command=(
            f"--config.file={CONFIG_FOLDER}/prometheus.yml",
            f"--storage.tsdb.path={DATA_FOLDER}",
            *((args.retention_flag,) if args.retention_flag else ()),
            f"--web.listen-address=0.0.0.0:{PROMETHEUS.port}",
            *PROTECTIVE_FLAGS,
        ),
        health_check=HealthCheck(
            command=("wget", "-q", "-O", "/dev/null", health_url), interval_seconds=5
        ),
        mounts=(Mount(DATA_FOLDER, volume=data),),
        files=Files(
            CONFIG_FOLDER,
            {
                f"{CONFIG_FOLDER}/prometheus.yml": args.config,
                f"{RULES_FOLDER}/{RULES_FILE_NAME}": args.rules,
                **({PROXY_KEY_FILE: secret_output(args.proxy_key)} if args.proxy_key else {}),
            },
        ),
        publication=args.publication,
        wait_seconds=args.wait_seconds,
        memory_mb=MEMORY_MB,
        user=USER,
        # Long enough to write the samples in memory to disk.
        stop_seconds=30,
        host_gateway=args.host_gateway,
    )


class Prometheus(pulumi.ComponentResource):
    """Image, data volume and container of Prometheus."""

    def __init__(
        self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("frontier:infra:Prometheus", name, {}, opts)
        image = images.pulled(f"{name}-image", args.image, parent=self)
        data = data_volume(
            f"{name}-data",
            PROMETHEUS_VOLUME,
            args.placement.stack,
            parent=self,
            protect=args.protect_data,
            keep=True,
        )
        spec = prometheus_spec(args, image.image_id, data.name)
        self.container = run(f"{name}-container", spec, args.placement, parent=self)
        self.register_outputs({})
