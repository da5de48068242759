"""What is wrong with a set of settings: pure checks that report each fault with its remedy."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from infra.docker_host import DOCKER_HOST, is_loopback
from infra.gpus import NO_GPUS, parse_gpus
from infra.settings.reachability import unreachable
from infra.settings.schema import Settings, in_setting_names
from infra.settings.types import DEFAULT_PASSWORD, EngineMode, GrafanaRules, ServiceMode
from monitoring.names import SCRAPE_INTERVALS
from monitoring.thresholds import ThresholdsError
from proxy_service.settings.model_details import MODEL_DETAILS_ACCEPTS, read_model_details
from proxy_service.settings.parsers import KEY_SHAPE, parse_keys
from proxy_service.settings.values import CONCURRENT_REQUESTS, MAX_PORT, QUEUED_REQUESTS

# A shorter wait leaves a container no time to start before failed probes count.
MIN_WAIT_SECONDS = 60

_DURATION = re.compile(r"(\d+(y|w|d|h|m|s))+")
_PLATFORM = re.compile(r"\w+/\w+(/\w+)?")
_QUANTIZATION = re.compile(r"[a-z0-9_]*")
_HOST_PORT = re.compile(r"[\w.-]+:\d+")
_UID = re.compile(r"[\w-]{1,40}")
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+")
_NO_PROXY = re.compile(r"\*|[\w.:\[\]*-]+(/\d+)?")
_EXACT_IMAGE = re.compile(r"\S+(:[\w][\w.-]*|@sha256:[0-9a-f]{64})")


def problems(settings: Settings) -> list[str]:
    """Return a sentence for every setting that is invalid or contradicts another one."""
    return list(
        chain(
            _engine(settings),
            _addresses(settings),
            _passwords(settings),
            _keys(settings),
            _monitoring(settings),
            unreachable(settings),
            _alerting(settings),
            _images(settings),
            _egress(settings),
            _limits(settings),
        )
    )


def _engine(settings: Settings) -> Iterator[str]:
    if settings.engine is EngineMode.EXTERNAL and not settings.mistral_url:
        yield (
            "mistralUrl: must be set when engine is external, for example "
            f"http://{DOCKER_HOST}:8080"
        )
    yield from _url("mistralUrl", settings.mistral_url)
    yield from _gpus(settings)
    if not _QUANTIZATION.fullmatch(settings.quantization):
        yield f"quantization: {settings.quantization!r} is not a level such as 4, q4k or auto"
    if settings.model.startswith((".", "~")):
        yield f"model: give the folder's absolute path instead of {settings.model!r}"
    if settings.model_details and not _are_model_details(settings.model_details):
        yield f"modelDetails: {settings.model_details!r} is not {MODEL_DETAILS_ACCEPTS}"


def _gpus(settings: Settings) -> Iterator[str]:
    try:
        request = parse_gpus(settings.gpus)
    except ValueError as error:
        yield f"gpus: {error}"
        return
    if request is None:
        return
    if settings.engine is EngineMode.EMBEDDED:
        yield f"gpus: the embedded engine uses the CPU only; set gpus to {NO_GPUS}"
    elif _is_cpu_image(settings.mistralrs_image):
        yield "gpus: mistralrsImage is a CPU image; set it to one with a tag cuda-smNN-X.Y.Z"


def _are_model_details(text: str) -> bool:
    try:
        read_model_details(text)
    except ValueError:
        return False
    return True


def _is_cpu_image(reference: str) -> bool:
    name_and_tag, _, _ = reference.partition("@")
    return name_and_tag.rpartition("/")[2].partition(":")[2].startswith("cpu-")


def _addresses(settings: Settings) -> Iterator[str]:
    try:
        ipaddress.IPv4Address(settings.bind_address)
    except ValueError:
        yield (
            f"bindAddress: {settings.bind_address!r} is not an IPv4 address such as 127.0.0.1 or "
            "0.0.0.0 (all addresses)"
        )
    ports = settings.published_ports
    for name, port in ports.items():
        if not 0 < port <= MAX_PORT:
            yield f"{name}: {port} is not a port from 1 to {MAX_PORT}"
    for port, uses in Counter(ports.values()).items():
        if uses > 1:
            names = " and ".join(name for name, value in ports.items() if value == port)
            yield f"{names}: have the same port {port}; give each its own"


def _passwords(settings: Settings) -> Iterator[str]:
    if settings.grafana is not ServiceMode.MANAGED:
        return
    if not settings.grafana_admin_password:
        yield (
            "grafanaAdminPassword: must not be empty; run `pulumi config set --secret "
            "grafanaAdminPassword`"
        )
    is_public = not is_loopback(settings.bind_address)
    if settings.grafana_admin_password == DEFAULT_PASSWORD and is_public:
        yield (
            "grafanaAdminPassword: the default is refused when bindAddress is "
            f"{settings.bind_address}; set your own with `pulumi config set --secret "
            "grafanaAdminPassword`"
        )


def _keys(settings: Settings) -> Iterator[str]:
    if settings.api_key:
        try:
            parse_keys(settings.api_key.value)
        except ValueError:
            yield (
                f"apiKey: each key must have {KEY_SHAPE}; `openssl rand -hex 24` prints a good one"
            )
    elif not (is_loopback(settings.bind_address) or settings.allow_unauthenticated):
        yield (
            f"apiKey: must be set, since other machines can reach bindAddress "
            f"{settings.bind_address}; run `pulumi config set --secret apiKey`, or set "
            "allowUnauthenticated to true to let everyone who reaches it use the model"
        )


def _monitoring(settings: Settings) -> Iterator[str]:
    if settings.prometheus is ServiceMode.EXTERNAL and not settings.prometheus_url:
        yield "prometheusUrl: must be set when prometheus is external"
    if settings.grafana is ServiceMode.EXTERNAL:
        if not settings.grafana_url:
            yield "grafanaUrl: must be set when grafana is external"
        if not settings.grafana_token:
            yield "grafanaToken: must be set to a service account token when grafana is external"
    yield from _url("prometheusUrl", settings.prometheus_url)
    yield from _url("grafanaUrl", settings.grafana_url)
    yield from _url("datasourceUrl", settings.datasource_url)
    if not _DURATION.fullmatch(settings.prometheus_retention):
        yield (
            f"prometheusRetention: {settings.prometheus_retention!r} is not a duration such as 15d"
        )
    yield from _scrape_interval(settings)
    yield from _prometheus_login(settings)
    if settings.datasource_uid and settings.grafana is ServiceMode.MANAGED:
        yield "datasourceUid: the stack's own Grafana has only the data source that is created"
    if settings.datasource_uid and not _UID.fullmatch(settings.datasource_uid):
        yield (
            f"datasourceUid: {settings.datasource_uid!r} is not a uid; it is at the end of the "
            "address of the data source's page in Grafana"
        )


def _prometheus_login(settings: Settings) -> Iterator[str]:
    if settings.prometheus_token and settings.prometheus_user:
        yield "prometheusToken: set either this or prometheusUser, not both"
    if bool(settings.prometheus_user) is not bool(settings.prometheus_password):
        yield "prometheusUser: set it together with prometheusPassword"
    if ":" in settings.prometheus_user:
        yield f"prometheusUser: {settings.prometheus_user!r} has a colon, which no user name can"


def _scrape_interval(settings: Settings) -> Iterator[str]:
    seconds = settings.scrape_interval_seconds
    if seconds not in SCRAPE_INTERVALS:
        yield (
            f"scrapeIntervalSeconds: {seconds} is not in the range {SCRAPE_INTERVALS[0]} to "
            f"{SCRAPE_INTERVALS[-1]}"
        )
        return
    try:
        settings.thresholds  # noqa: B018 - reading it checks it
    except ThresholdsError as error:
        yield in_setting_names(str(error))


def _alerting(settings: Settings) -> Iterator[str]:
    yield from _url("runbookBaseUrl", settings.runbook_base_url)
    yield from _url("alertWebhookUrl", settings.alert_webhook_url.value, is_secret=True)
    yield from _url("alertSlackUrl", settings.alert_slack_url.value, is_secret=True)
    if settings.grafana_rules is GrafanaRules.NONE and settings.sends_alerts:
        yield (
            "grafanaRules: without rules, Grafana sends no alerts; set it to current, or remove "
            "alertWebhookUrl, alertSlackUrl and alertEmails"
        )
    if settings.alert_mute_timings and not settings.sends_alerts:
        yield (
            "alertMuteTimings: has no effect without a receiver; set alertWebhookUrl, "
            "alertSlackUrl or alertEmails"
        )
    for address in settings.email_addresses:
        if not _EMAIL.fullmatch(address):
            yield f"alertEmails: {address!r} is not an e-mail address"
    needs_server = settings.email_addresses and settings.grafana is ServiceMode.MANAGED
    if needs_server and not settings.smtp_host:
        yield "smtpHost: must be set to a mail server, as host:port, when alertEmails is set"
    if settings.smtp_host and not _HOST_PORT.fullmatch(settings.smtp_host):
        yield f"smtpHost: {settings.smtp_host!r} is not host:port, such as mail.example.org:587"


def _images(settings: Settings) -> Iterator[str]:
    references = {
        "mistralrsImage": settings.mistralrs_image,
        "prometheusImage": settings.prometheus_image,
        "grafanaImage": settings.grafana_image,
        "pythonImage": settings.python_image,
    }
    for name, reference in references.items():
        if not _EXACT_IMAGE.fullmatch(reference) or reference.endswith(":latest"):
            yield f"{name}: {reference!r} has no exact version; write it as image:1.2.3"
    if settings.platform and not _PLATFORM.fullmatch(settings.platform):
        yield f"platform: {settings.platform!r} is not a platform such as linux/arm64"


def _egress(settings: Settings) -> Iterator[str]:
    servers = {
        "httpProxy": settings.http_proxy.value,
        "httpsProxy": settings.https_proxy.value,
        "pipIndexUrl": settings.pip_index_url.value,
    }
    for name, url in servers.items():
        yield from _url(name, url, is_secret=True)
        if _is_http_url(url) and is_loopback(urlsplit(url).hostname or ""):
            yield (
                f"{name}: loopback in a container is the container itself; for a server on the "
                f"Docker host use {DOCKER_HOST} as the host name"
            )
    for host in settings.no_proxy_hosts:
        if not _NO_PROXY.fullmatch(host):
            yield f"noProxy: {host!r} is not a host, domain or network such as 10.0.0.0/8"


def _limits(settings: Settings) -> Iterator[str]:
    waits = {
        "waitSeconds": settings.wait_seconds,
        "engineWaitSeconds": settings.engine_wait_seconds,
    }
    for name, seconds in waits.items():
        if seconds < MIN_WAIT_SECONDS:
            yield f"{name}: {seconds} is less than the minimum of {MIN_WAIT_SECONDS}"
    if settings.engine_memory_mb < 1:
        yield f"engineMemoryMb: {settings.engine_memory_mb} is less than the minimum of 1"
    counts = {
        "maxConcurrentRequests": (settings.max_concurrent_requests, CONCURRENT_REQUESTS),
        "maxQueuedRequests": (settings.max_queued_requests, QUEUED_REQUESTS),
    }
    for name, (count, allowed) in counts.items():
        if count not in allowed:
            yield f"{name}: {count} is not in the range {allowed[0]} to {allowed[-1]}"


def _url(name: str, value: str, *, is_secret: bool = False) -> Iterator[str]:
    if not value:
        return
    if not _is_http_url(value):
        shown = "the value" if is_secret or "@" in value else repr(value)
        yield f"{name}: {shown} is not a URL such as http://host:8080"
    elif not is_secret and "@" in urlsplit(value).netloc:
        yield f"{name}: remove user and password from the URL, which is shown in plain text"


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        # Reading the port checks it.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
