"""What is wrong with a set of settings: pure checks that report each fault with its remedy."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from infra.docker_host import DOCKER_HOST, is_loopback
from infra.gpus import NO_GPUS, parse_gpus
from infra.http_proxies import PROXY_VARIABLES
from infra.settings import grammar
from infra.settings.proxy_variables import refused
from infra.settings.reachability import unreachable
from infra.settings.schema import SETTING_NAMES, Settings, in_setting_names
from infra.settings.served_models import file_fault, model_fault, quantization_fault
from infra.settings.types import DEFAULT_PASSWORD, EngineMode, GrafanaRules, Secret, ServiceMode
from monitoring.names import SCRAPE_INTERVALS
from monitoring.thresholds import ThresholdsError
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MAX_PORT, MIB, is_host, without_login

_UID = re.compile(r"[\w-]{1,40}")
_NO_PROXY = re.compile(r"\*|[\w.:\[\]*-]+(/\d+)?")

# A shorter wait leaves a container no time to start before failed probes count.
MIN_WAIT_SECONDS = 60
# A week. Much longer ones overflow Pulumi's durations.
MAX_WAIT_SECONDS = 604_800

# Docker refuses less than 6 MB. The upper end, 16 TB, is no machine's memory.
ENGINE_MEMORY_MB = range(6, 16_777_217)

_MISTRALRS_ONLY = (
    *("models", "contextLength", "kvCacheMb", "kvCacheFraction", "maxSeqs", "prefixCacheSize"),
    *("seed", "chatTemplate", "loraAdapters", "engineArgs"),
)
# What `models` has for each model, or can't be combined with a configuration file.
_OF_ONE_MODEL = ("model", "quantization", "chatTemplate", "loraAdapters", "engineArgs")
_ENGINE_RANGES: dict[str, tuple[float, float]] = {
    "contextLength": (1, 2**31 - 1),
    "kvCacheMb": (1, 16_777_216),
    "kvCacheFraction": (0.01, 1),
    "maxSeqs": (1, 65_536),
    "prefixCacheSize": (0, 65_536),
    "seed": (0, 2**63 - 1),
}
# Flags that have a setting, or on which the stack depends.
_STACKS_FLAGS = frozenset(
    (
        *("--port", "--host", "--model-id", "--quant", "--max-seqs", "--prefix-cache-n", "--seed"),
        *("--max-seq-len", "--pa-context-len", "--pa-memory-mb", "--pa-memory-fraction"),
        *("--chat-template", "--token-source", "--lora", "--lora-modules", "--disable-metrics"),
    )
)
_STACKS_SHORT_FLAGS = ("-p", "-m", "-c")
_STACKS_FLAGS_REMEDY = "docs/settings.md has a setting for what it does, if it may be changed"
# With these, `mistralrs` prints something and ends.
_ENDING_FLAGS = ("-h", "--help", "-V", "--version")
# Where the engine keeps its files and finds its model, token, certificates and HTTP proxy, and
# where its image finds its programs. Token and proxy would be stored in plain text.
_STACKS_VARIABLES = frozenset(
    (
        *("HOME", "PATH", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH"),
        *("MODEL", "MODEL_CACHE", "BIND_ADDRESS", *PROXY_VARIABLES),
    )
)

# The memory limit of the proxy's container is made for bodies of this size.
MAX_BODY_MIB = ProxySettings().max_body_bytes // MIB


def problems(settings: Settings) -> list[str]:
    """Return a sentence for every setting that is invalid or contradicts another one."""
    return list(
        chain(
            refused(settings),
            _engine(settings),
            _addresses(settings),
            _passwords(settings),
            _keys(settings),
            _tokens(settings),
            _monitoring(settings),
            unreachable(settings),
            _alerting(settings),
            _images(settings),
            _docker(settings),
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
    yield from _no_login("mistralUrl", settings.mistral_url)
    yield from _gpus(settings)
    faults = {
        "quantization": quantization_fault(settings.quantization),
        "model": model_fault(settings.model) if settings.model else None,
        "chatTemplate": file_fault(settings.chat_template) if settings.chat_template else None,
    }
    yield from (f"{name}: {fault}" for name, fault in faults.items() if fault)
    yield from _mistralrs_only(settings)
    yield from _engine_options(settings)
    yield from _engine_arguments(settings)


def _mistralrs_only(settings: Settings) -> Iterator[str]:
    """Report settings that only the official image understands, and those that exclude others."""
    if settings.engine is not EngineMode.MISTRALRS:
        for name in _differing(settings, _MISTRALRS_ONLY):
            yield f"{name}: only the engine mistralrs has it; engine is {settings.engine}"
        if settings.engine is EngineMode.EXTERNAL and settings.engine_environment:
            yield "engineEnvironment: an external engine has its own environment"
    if settings.models:
        for name in _differing(settings, _OF_ONE_MODEL):
            yield f"{name}: give each model its own in models"


def _differing(settings: Settings, names: tuple[str, ...]) -> list[str]:
    fields = {name: SETTING_NAMES[name] for name in names}
    defaults = Settings()
    return [n for n, f in fields.items() if getattr(settings, f) != getattr(defaults, f)]


def _engine_options(settings: Settings) -> Iterator[str]:
    for name, (low, high) in _ENGINE_RANGES.items():
        value = getattr(settings, SETTING_NAMES[name])
        if value is not None and not low <= value <= high:
            yield f"{name}: {value} is not from {low} to {high}"
    if settings.kv_cache_mb is not None and settings.kv_cache_fraction is not None:
        yield "kvCacheFraction: kvCacheMb is set, too; set only one of them"
    if settings.gpus == NO_GPUS:
        for name in _differing(settings, ("kvCacheMb", "kvCacheFraction")):
            yield f"{name}: it sets how much of a GPU's memory is used, but gpus is {NO_GPUS}"
        if settings.seed is not None:
            yield f"seed: Mistral.rs can't set one without a GPU, and gpus is {NO_GPUS}"
    for name in settings.engine_environment.keys() & _STACKS_VARIABLES:
        yield f"engineEnvironment: {name} is set by the stack"


def _engine_arguments(settings: Settings) -> Iterator[str]:
    if settings.engine_args and not settings.engine_args[0].startswith("-"):
        yield f"engineArgs: {settings.engine_args[0]!r} is not a flag; begin with one"
    for argument in settings.engine_args:
        if not grammar.is_one_line(argument):
            yield f"engineArgs: {argument!r} has a line break or another control character"
        if argument in _ENDING_FLAGS:
            yield f"engineArgs: with {argument} the engine would end at once"
        flag = argument.partition("=")[0]
        if flag in _STACKS_FLAGS or argument[:2] in _STACKS_SHORT_FLAGS:
            yield f"engineArgs: {flag} is written by the stack; {_STACKS_FLAGS_REMEDY}"


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


def _is_cpu_image(reference: str) -> bool:
    name_and_tag, _, _ = reference.partition("@")
    return name_and_tag.rpartition("/")[2].partition(":")[2].startswith("cpu-")


def _addresses(settings: Settings) -> Iterator[str]:
    addresses = {"bindAddress": settings.bind_address}
    if settings.prometheus_bind_address:
        addresses["prometheusBindAddress"] = settings.prometheus_bind_address
    for name, address in addresses.items():
        if not _can_be_bound(address):
            yield (
                f"{name}: {address!r} is not an IPv4 address of a machine, such as 127.0.0.1 or "
                "0.0.0.0 (all addresses)"
            )
    if settings.advertised_host and not is_host(settings.advertised_host):
        yield (
            f"advertisedHost: {settings.advertised_host!r} is not a host name or IP address alone, "
            "such as llm.example.org, without http:// and port"
        )
    ports = {name: address.port for name, address in settings.published_ports.items()}
    for name, port in ports.items():
        if not 0 < port <= MAX_PORT:
            yield f"{name}: {port} is not a port from 1 to {MAX_PORT}"
    for port, uses in Counter(ports.values()).items():
        if uses > 1:
            names = " and ".join(name for name, value in ports.items() if value == port)
            yield f"{names}: have the same port {port}; give each its own"


def _can_be_bound(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    # 0.x.y.z means "this network", and 240.0.0.0/4 has the broadcast address.
    is_network = address.packed[0] == 0 and not address.is_unspecified
    return not (is_network or address.is_multicast or address.is_reserved)


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
    if not (
        settings.api_key or is_loopback(settings.bind_address) or settings.allow_unauthenticated
    ):
        yield (
            f"apiKey: must be set, since other machines can reach bindAddress "
            f"{settings.bind_address}; run `pulumi config set --secret apiKey`, or set "
            "allowUnauthenticated to true to let everyone who reaches it use the model"
        )


def _tokens(settings: Settings) -> Iterator[str]:
    """Tokens are sent in HTTP headers, where a space or line break ends them or is refused."""
    tokens = {
        "hfToken": settings.hf_token,
        "grafanaToken": settings.grafana_token,
        "prometheusToken": settings.prometheus_token,
    }
    for name, token in tokens.items():
        if token and not grammar.is_header_value(token.value):
            yield f"{name}: the value has a space, a line break or another invisible character"


def _monitoring(settings: Settings) -> Iterator[str]:
    if settings.prometheus is ServiceMode.EXTERNAL and not settings.prometheus_url:
        yield "prometheusUrl: must be set when prometheus is external"
    if settings.grafana is ServiceMode.EXTERNAL:
        if not settings.grafana_url:
            yield "grafanaUrl: must be set when grafana is external"
        if not settings.grafana_token:
            yield "grafanaToken: must be set to a service account token when grafana is external"
    yield from _base_url("prometheusUrl", settings.prometheus_url)
    yield from _base_url("grafanaUrl", settings.grafana_url)
    yield from _base_url("datasourceUrl", settings.datasource_url)
    if not grammar.is_duration(settings.prometheus_retention):
        yield (
            f"prometheusRetention: {settings.prometheus_retention!r} is not a duration such as 15d "
            "or 1w3d12h: whole numbers above 0, each with one of y, w, d, h, m and s, the largest "
            "unit first, and at most 292y"
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
    login = {
        "prometheusUser": settings.prometheus_user,
        "prometheusPassword": settings.prometheus_password.value,
    }
    for name, value in login.items():
        if not grammar.is_one_line(value):
            yield f"{name}: the value has a line break or another control character"


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
    yield from _base_url("runbookBaseUrl", settings.runbook_base_url)
    yield from _secret_url("alertWebhookUrl", settings.alert_webhook_url)
    yield from _secret_url("alertSlackUrl", settings.alert_slack_url)
    if settings.alert_mute_timings and not settings.sends_alerts:
        yield (
            "alertMuteTimings: has no effect without a receiver; set alertWebhookUrl, "
            "alertSlackUrl or alertEmails"
        )
    if settings.grafana_rules is GrafanaRules.NONE and settings.sends_alerts:
        yield (
            "grafanaRules: without rules, Grafana sends no alerts; set it to current, or remove "
            "alertWebhookUrl, alertSlackUrl and alertEmails"
        )
    for address in settings.email_addresses:
        if not grammar.is_email(address):
            yield f"alertEmails: {address!r} is not an e-mail address"
    needs_server = settings.email_addresses and settings.grafana is ServiceMode.MANAGED
    if needs_server and not settings.smtp_host:
        yield "smtpHost: must be set to a mail server, as host:port, when alertEmails is set"
    yield from _smtp(settings)


def _smtp(settings: Settings) -> Iterator[str]:
    if settings.smtp_host and not grammar.is_host_and_port(settings.smtp_host):
        yield f"smtpHost: {settings.smtp_host!r} is not host:port, such as mail.example.org:587"
    if settings.smtp_from and not grammar.is_email(settings.smtp_from):
        yield f"smtpFrom: {settings.smtp_from!r} is not an e-mail address"
    written = {
        "smtpUser": settings.smtp_user,
        "smtpPassword": settings.smtp_password.value,
        "grafanaAdminPassword": settings.grafana_admin_password.value,
    }
    for name, value in written.items():
        if not grammar.is_grafana_value(value):
            yield (
                f"{name}: must be one line without ${{NAME}}, $__file{{PATH}} and %(name)s, which "
                "Grafana would replace"
            )


def _images(settings: Settings) -> Iterator[str]:
    references = {
        "mistralrsImage": settings.mistralrs_image,
        "prometheusImage": settings.prometheus_image,
        "grafanaImage": settings.grafana_image,
        "pythonImage": settings.python_image,
    }
    for name, reference in references.items():
        if not grammar.is_exact_image(reference):
            yield (
                f"{name}: {reference!r} is not an image with an exact version; write it as "
                "registry.example.org/image:1.2.3, the name in lower case"
            )


def _docker(settings: Settings) -> Iterator[str]:
    if settings.platform and not grammar.is_platform(settings.platform):
        yield (
            f"platform: {settings.platform!r} is not a platform of Linux such as linux/amd64 or "
            "linux/arm64"
        )
    if settings.docker_host and not grammar.is_docker_host(settings.docker_host):
        yield (
            f"dockerHost: {without_login(settings.docker_host)!r} is not unix:///path/to/socket, "
            "tcp://host:port or ssh://user@host"
        )


def _egress(settings: Settings) -> Iterator[str]:
    servers = {
        "httpProxy": settings.http_proxy,
        "httpsProxy": settings.https_proxy,
        "pipIndexUrl": settings.pip_index_url,
    }
    for name, url in servers.items():
        yield from _secret_url(name, url)
        if grammar.is_url(url.value) and is_loopback(urlsplit(url.value).hostname or ""):
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
        if not MIN_WAIT_SECONDS <= seconds <= MAX_WAIT_SECONDS:
            yield f"{name}: {seconds} is not from {MIN_WAIT_SECONDS} to {MAX_WAIT_SECONDS}"
    if settings.engine_memory_mb not in ENGINE_MEMORY_MB:
        yield (
            f"engineMemoryMb: {settings.engine_memory_mb} is not from {ENGINE_MEMORY_MB[0]} to "
            f"{ENGINE_MEMORY_MB[-1]}"
        )
    if settings.max_body_mib.isdecimal() and int(settings.max_body_mib) > MAX_BODY_MIB:
        yield (
            f"maxBodyMib: {settings.max_body_mib} is more than {MAX_BODY_MIB}, which the engine "
            "accepts and the memory of the proxy's container is made for"
        )


def _base_url(name: str, value: str) -> Iterator[str]:
    if value and not grammar.is_base_url(value):
        yield (
            f"{name}: {without_login(value)!r} is not a URL such as http://host:8080, without a "
            "query"
        )
    yield from _no_login(name, value)


def _secret_url(name: str, url: Secret) -> Iterator[str]:
    if url and not grammar.is_url(url.value):
        yield f"{name}: the value is not a URL such as http://host:8080/path"


def _no_login(name: str, url: str) -> Iterator[str]:
    if without_login(url) != url:
        yield f"{name}: remove user and password from the URL, which is shown in plain text"
