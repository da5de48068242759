"""Grafana's container, with its database on a volume and its admin's password in a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pulumi

from infra import images
from infra.container import (
    SECRETS_FOLDER,
    ContainerSpec,
    Files,
    HealthCheck,
    Mount,
    Placement,
    Publication,
    run,
    with_secret_environment,
)
from infra.egress import Egress
from infra.secret_output import secret_output
from infra.settings.types import NO_SECRET, Secret
from infra.storage import data_volume
from infra.topology import GRAFANA, GRAFANA_USER, GRAFANA_VOLUME

MEMORY_MB = 1024

# The image's own user, who owns its data folder.
USER = "472:0"

# The image's own entry point.
PROGRAM = ("/run.sh",)

DATA_FOLDER = "/var/lib/grafana"
ADMIN_PASSWORD_FILE = f"{SECRETS_FOLDER}/grafana-admin-password"
CA_FILE = f"{SECRETS_FOLDER}/ca-certificates.pem"
SMTP_PASSWORD_FILE = f"{SECRETS_FOLDER}/smtp-password"


@dataclass(frozen=True)
class Smtp:
    """The mail server for alerts; an empty host means none."""

    host: str = ""
    sender: str = ""
    user: str = ""
    password: Secret = NO_SECRET


@dataclass(frozen=True)
class GrafanaArgs:
    """What Grafana depends on.

    Attributes:
        placement: Stack and network.
        image: Its image's reference.
        admin_password: Its admin's password, which it reads when the database is created.
        url: Its URL for browsers, which its own links use.
        only_at_url: Whether it accepts only the host name in ``url``, against DNS rebinding.
        publication: Address and port on the host.
        wait_seconds: How long ``up`` waits for it to become healthy.
        protect_data: Whether Pulumi refuses to delete its volume.
        host_gateway: Whether its data source is on the Docker host.
        egress: How it reaches the internet to send alerts.
        smtp: Mail server for alerts.
    """

    placement: Placement
    image: str
    admin_password: Secret
    url: str
    only_at_url: bool
    publication: Publication
    wait_seconds: int
    protect_data: bool
    host_gateway: bool
    egress: Egress
    smtp: Smtp = field(default_factory=Smtp)


def grafana_spec(
    args: GrafanaArgs, image: pulumi.Input[str], data: pulumi.Input[str]
) -> ContainerSpec:
    """Describe Grafana's container.

    Secrets are files, since everyone who may run ``docker inspect`` can read the environment.
    """
    spec = ContainerSpec(
        member=GRAFANA,
        image=image,
        environment={
            **_environment(args),
            **_smtp_environment(args.smtp),
            # Go reads it beside the image's own folder of CAs.
            **({"SSL_CERT_FILE": CA_FILE} if args.egress.ca_certificates else {}),
        },
        health_check=HealthCheck(
            command=("wget", "-q", "-O", "/dev/null", _health_url()), interval_seconds=5
        ),
        mounts=(Mount(DATA_FOLDER, volume=data),),
        files=_files(args),
        publication=args.publication,
        wait_seconds=args.wait_seconds,
        memory_mb=MEMORY_MB,
        user=USER,
        # Long enough to close its database.
        stop_seconds=30,
        host_gateway=args.host_gateway or args.egress.leads_to_docker_host,
    )
    return with_secret_environment(spec, PROGRAM, args.egress.proxies)


def _health_url() -> str:
    return f"http://127.0.0.1:{GRAFANA.port}{GRAFANA.health_path}"


def _environment(args: GrafanaArgs) -> Mapping[str, str]:
    return {
        "GF_SERVER_HTTP_PORT": str(GRAFANA.port),
        "GF_SERVER_ROOT_URL": args.url,
        # All requests for another name are redirected, except for health and metrics. Grafana
        # compares what precedes the first colon, also of an IPv6 address.
        "GF_SERVER_ENFORCE_DOMAIN": "true" if args.only_at_url else "false",
        "GF_SERVER_DOMAIN": urlsplit(args.url).netloc.partition(":")[0],
        "GF_SECURITY_ADMIN_USER": GRAFANA_USER,
        "GF_SECURITY_ADMIN_PASSWORD__FILE": ADMIN_PASSWORD_FILE,
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_USERS_ALLOW_ORG_CREATE": "false",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        # No content is shared by links that need no login.
        "GF_PUBLIC_DASHBOARDS_ENABLED": "false",
        "GF_SNAPSHOTS_ENABLED": "false",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        # Otherwise Grafana downloads apps, and newer versions of its plugins, in the background.
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
        # Not even the admin can install plugins, which are other people's code.
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
    }


def _smtp_environment(smtp: Smtp) -> Mapping[str, str]:
    if not smtp.host:
        return {}
    variables = {"GF_SMTP_ENABLED": "true", "GF_SMTP_HOST": smtp.host}
    if smtp.sender:
        variables["GF_SMTP_FROM_ADDRESS"] = smtp.sender
    if smtp.user:
        variables["GF_SMTP_USER"] = smtp.user
    if smtp.password:
        variables["GF_SMTP_PASSWORD__FILE"] = SMTP_PASSWORD_FILE
    return variables


def _files(args: GrafanaArgs) -> Files:
    contents: dict[str, pulumi.Input[str]] = {
        ADMIN_PASSWORD_FILE: secret_output(args.admin_password)
    }
    if args.smtp.host and args.smtp.password:
        contents[SMTP_PASSWORD_FILE] = secret_output(args.smtp.password)
    if args.egress.ca_certificates:
        contents[CA_FILE] = args.egress.ca_certificates
    return Files(SECRETS_FOLDER, contents)


class Grafana(pulumi.ComponentResource):
    """Image, data volume and container of Grafana."""

    def __init__(
        self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("frontier:infra:Grafana", name, {}, opts)
        image = images.pulled(f"{name}-image", args.image, parent=self)
        # Not kept when the stack is destroyed: all of its content is written by code, and a new
        # stack can't create what exists already.
        self.volume = data_volume(
            f"{name}-data",
            GRAFANA_VOLUME,
            args.placement.stack,
            parent=self,
            protect=args.protect_data,
            keep=False,
        )
        spec = grafana_spec(args, image.image_id, self.volume.name)
        self.container = run(f"{name}-container", spec, args.placement, parent=self)
        self.register_outputs({})
