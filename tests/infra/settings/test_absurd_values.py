"""A value that would fail later, in the program that reads it, is refused at preview."""

import pytest

from infra.settings.reading import SettingsError
from infra.settings.schema import SETTING_NAMES, Settings
from infra.settings.types import Secret
from tests.infra.settings.loading import Load

UMLAUT = "\N{LATIN SMALL LETTER U WITH DIAERESIS}"
NUMBER = ("", "x", "-1", "1.5", "1e3")
PORT = ("", "http", "0", "65536", "11434:11434")
SECONDS = ("soon", "-1", "nan", "inf", "5s", "86401")
SWITCH = ("", "yes", "True", "1", "on")
URL = (
    "box.example:8080",
    "ftp://host",
    "http://",
    "http://my host",
    "http://my\nhost",
    "http://host:99999",
    "http://host:0",
    "http://fd00::1:8080",
    "http://[fd00::1",
    "http://192.0.2.256",
    f"http://b{UMLAUT}cher.example",
    "http://-host.example",
)
BASE_URL = (*URL, "http://host/?a=b", "http://host/#top", "http://host?")
IMAGE = (
    "",
    "image",
    "image:latest",
    "Registry.example/Image:1.0",
    "image:1.0 ",
    "image:",
    "image@sha256:abc",
    "https://registry.example/image:1.0",
    "a//b:1.0",
    f"{'a' * 260}:1.0",
)
SECRET_TEXT = ("two\nlines", "a\tb", "${HOME}", "$__file{/etc/passwd}", "%(admin_user)s")
HOST = ("http://my host/", "my host", "llm.example.org:443", "llm.example.org/", "-x", f"b{UMLAUT}")
EMAIL = ("nobody", "a@b@example.org", "a b@example.org", "Me <me@example.org>", "me@localhost")


def _deep_options(depth: int) -> str:
    """Models with options of tables within each other."""
    tables = '{"a": ' * depth + "1" + "}" * depth
    return f'{{"m": {{"model": "x", "options": {tables}}}}}'


ABSURD: dict[str, tuple[str, ...]] = {
    "engine": ("", "llama", "Mistralrs", "mistralrs ", "none"),
    "mistralUrl": (*BASE_URL, "https://host:8080", "http://me:word@host"),
    "model": (
        *("./model", "~/model", "two words", "-m", "/", "/srv/../etc", "a/b/c", "a--b"),
        "a/b.git",
    ),
    "modelDetails": (
        *("{", "[]", "null", '{"m": 1}', '{"m": {"colour": "red"}}', '{"m": {"size": NaN}}'),
    ),
    "models": (
        *("{", "[]", '{"m": "x"}', '{"m": {}}', '{"m": {"model": "a b"}}'),
        *('{"m n": {"model": "x"}}', '{"a": {"model": "x"}, "b": {"model": "x"}}'),
        *('{"m": {"model": "x", "quant": "4"}}', '{"m": {"model": "x", "quantization": "q9"}}'),
        *('{"m": {"model": 5}}', '{"m": {"model": "../x"}}'),
        *('{"a": {"model": "x"}, "A": {"model": "y"}}', '{"a": {"model": "x"}, "a": {}}'),
        *('{"a": {"model": "x"}, "a:latest": {"model": "y"}}', '{" a ": {"model": "x"}}'),
        *('{"a": {"model": "o/x"}, "b": {"model": "O/X"}}', '{"default": {"model": "x"}}'),
        *('{"x/y": {"model": "o/m"}, "b": {"model": "x/y"}}',),
        *('{"a": {"model": "/m/x"}, "b": {"model": "/m//x/"}}',),
        *('{"a": {"model": "o/x", "loraAdapters": {"b": "o/l"}}, "b": {"model": "o/y"}}',),
        *('{"m": {"model": "x", "options": {"a": 9223372036854775808}}}',),
        *(r'{"m": {"model": "x", "options": {"a": "\ud800"}}}',),
        *(_deep_options(17), _deep_options(100_000)),
        *('{"m": {"model": "x", "contextLength": "8k"}}',),
        *('{"m": {"model": "x", "options": []}}', '{"m": {"model": "x", "options": {"a": null}}}'),
        *('{"m": {"model": "x", "options": {"a": [NaN]}}}',),
        *('{"m": {"model": "x", "options": {"model_id": "y"}}}',),
        *('{"m": {"model": "x", "chatTemplate": "x.jinja"}}',),
        *('{"m": {"model": "x", "loraAdapters": {"a": 1}}}',),
        *('{"m": {"model": "x", "loraAdapters": {"a b": "x"}}}',),
        *('{"m": {"model": "x", "loraAdapters": "x"}}',),
    ),
    "contextLength": ("x", "-1", "0", "1.5", "8k", "2147483648"),
    "kvCacheMb": ("x", "-1", "0", "1.5", "8G"),
    "kvCacheFraction": ("x", "-1", "0", "1.1", "90%", "nan"),
    "maxSeqs": ("x", "-1", "0", "1.5", "65537"),
    "prefixCacheSize": ("x", "-1", "1.5", "65537", "many"),
    "seed": ("x", "-1", "1.5", "1e3", "9223372036854775808"),
    "chatTemplate": ("chat.jinja", "./chat.jinja", "~/chat.jinja", "/", "/srv/../chat.jinja"),
    "loraAdapters": (
        *("{", "[]", '{"a": 1}', '{"a b": "x"}', '{"a": "../x"}', '{"a": ""}'),
        *('{"a": "x", "a": "y"}', '{"a": "x", "A": "y"}', '{"default": "x"}'),
    ),
    "engineArgs": (
        *("'", '"a', "-p 80", "--port=80", "--host 0.0.0.0", "-m x", "--quant 4", "-c x"),
        *("serve", "--dtype bf16 --help", "-V", "--dtype '\0'", "--lora-modules a=b"),
    ),
    "engineEnvironment": (
        *("{", "[]", '{"A": 1}', '{"A B": "x"}', '{"A": "x\\n"}', '{"HOME": "/"}', '{"PATH": "/"}'),
        *('{"A": "x", "A": "y"}', '{"HF_TOKEN": "hf_x"}', '{"https_proxy": "http://me:word@h"}'),
    ),
    "quantization": ("4 bits", "7", "q9k", "16", "--help"),
    "hfToken": ("hf x", "hf\nx", "hf_x\n", "\x00", f"hf_{UMLAUT}"),
    "gpus": ("", "some", "device=", "device=0,", "-1", "0", "device=a b"),
    "engineMemoryMb": (*NUMBER, "0", "5", "99999999999", "8G"),
    "engineWaitSeconds": (*NUMBER, "59", "604801", "30m"),
    "proxyPort": PORT,
    "maxConcurrentRequests": (*NUMBER, "0", "100001"),
    "maxQueuedRequests": (*NUMBER, "100001"),
    "maxConnections": ("x", "-1", "0", "1000001", "1.5"),
    "maxBodyMib": ("x", "-1", "0", "51", "1.5", "50M"),
    "maxUnpackedMib": ("x", "-1", "0", "1025", "1.5", "8M"),
    "modelAliases": ("a", "a=", "=b", "a=x,a=y", "a:b"),
    "modelUnload": SWITCH,
    "keepAlive": ("never", "5 m", "m5", "1d", "1e3", "-", "9" * 19),
    "maxLoadedModels": ("x", "-1", "1001", "1.5", "2 models"),
    "ollamaVersion": ("latest", "0.33", "v0.33.0", "0.33.0-rc1", "0.33.0.1"),
    "engineConnectTimeoutSeconds": (*SECONDS, "0", "61"),
    "engineSilenceTimeoutSeconds": (*SECONDS, "0"),
    "engineReplyTimeoutSeconds": (*SECONDS, "0"),
    "engineKeepAliveSeconds": (*SECONDS, "3601"),
    "engineProbeIntervalSeconds": (*SECONDS, "0", "3601"),
    "engineProbeTimeoutSeconds": (*SECONDS, "0", "3601"),
    "clientRequestTimeoutSeconds": (*SECONDS, "0"),
    "clientStallTimeoutSeconds": (*SECONDS, "0"),
    "clientKeepAliveSeconds": (*SECONDS, "0"),
    "shutdownGraceSeconds": (*SECONDS, "3601"),
    "logLevel": ("verbose", "trace", "none", "5", "info,debug"),
    "logFormat": ("xml", "logfmt", "json,text", "1", "yes"),
    "bindAddress": ("", "localhost", "::1", "127.1", "0.0.0.1", "224.0.0.1", "255.255.255.255"),
    "advertisedHost": (*HOST, "[fd00::1]", "999.1.1.1"),
    "apiKey": ("short", "0123456789abcde", "0123456789 abcdef", f"{UMLAUT * 20}", "x" * 257, ","),
    "allowUnauthenticated": SWITCH,
    "allowEngineTools": SWITCH,
    "allowedHosts": (*HOST, "[::1]", "*.example.org"),
    "allowedOrigins": (
        "chat.example.org",
        "https://chat.example.org/",
        "https://chat.example.org/page",
        "https://a https://b",
        "https://",
    ),
    "prometheus": ("", "none", "Managed", "internal", "true"),
    "prometheusUrl": BASE_URL,
    "prometheusUser": ("me:word", "two\nlines", "\x00", "tab\t", "escape\x1b"),
    "prometheusPassword": ("two\nlines", "\x00", "tab\t", "escape\x1b", "\x7f"),
    "prometheusToken": ("two words", "two\nlines", "\x00", "x\r", f"{UMLAUT}ber"),
    "scrapeIntervalSeconds": (*NUMBER, "0", "121", "15s"),
    "prometheusPort": PORT,
    "prometheusBindAddress": ("localhost", "::1", "127.1", "0.0.0.1", "224.0.0.1", "all"),
    "prometheusRetention": (
        *("", "two weeks", "15", "90m1h", "1d1d", "-1d", "1.5d", "0", "0d", "300y", "1M", "1d 2h"),
        f"{'9' * 30}d",
    ),
    "grafana": ("", "none", "Managed", "internal", "true"),
    "grafanaUrl": BASE_URL,
    "grafanaToken": ("glsa x", "glsa\nx", "x\r", "\x00", f"glsa_{UMLAUT}"),
    "grafanaPort": PORT,
    "grafanaAdminPassword": ("", *SECRET_TEXT),
    "grafanaRules": ("", "11", "before-11", "Current", "latest"),
    "datasourceUrl": BASE_URL,
    "datasourceUid": ("two words", "x" * 41, "a/b", "{uid}", "https://grafana.example/d"),
    "alertThresholds": (
        *("", "[]", "{", '{"x": 1}', '{"highLatencySeconds": NaN}', '{"highErrorRatio": 1e400}'),
        '{"highLatencySeconds": true}',
    ),
    "runbookBaseUrl": BASE_URL,
    "notifySeverity": ("", "Warning", "none", "error", "all"),
    "alertMuteTimings": (
        *("Nights", "[]", '{"Nights": "22:00-07:00"}', '{"Nights": {"times": ["25:00-07:00"]}}'),
        *('{"Nights": {"weekdays": ["mon"]}}', '{"Nights": {"location": "Mars/Base"}}'),
        '{"Nights": {"severities": ["page"]}}',
    ),
    "alertWebhookUrl": URL,
    "alertSlackUrl": URL,
    "alertEmails": EMAIL,
    "smtpHost": (
        *("mail", "mail:", ":25", "mail:0", "mail:99999", "my host:25", "smtp://mail:25"),
        "fd00::1:25",
    ),
    "smtpFrom": EMAIL,
    "smtpUser": SECRET_TEXT,
    "smtpPassword": SECRET_TEXT,
    "mistralrsImage": IMAGE,
    "prometheusImage": IMAGE,
    "grafanaImage": IMAGE,
    "pythonImage": IMAGE,
    "useDigests": SWITCH,
    "platform": (
        *("arm64", "linux", "linux/", "windows/amd64", "linux/pdp11", "linux/amd64/v9"),
        "linux/arm64 ",
    ),
    "dockerHost": (
        *("localhost", "localhost:2375", "/var/run/docker.sock", "http://host:2375", "ssh://"),
        *("tcp://host", "tcp://host:0", "unix://docker.sock", "unix://", "ssh://my host"),
        *("ssh://me:word@host", "tcp://host:2375?x"),
    ),
    "httpProxy": URL,
    "httpsProxy": URL,
    "noProxy": ("two words", "http://x", "a;b", "10.0.0.0/x", "a,b c"),
    "pipIndexUrl": URL,
    "waitSeconds": (*NUMBER, "59", "604801", "2m"),
    "protectData": SWITCH,
}  # fmt: skip


# What is wrong with these depends on the machine.
ELSEWHERE = {"caFile", "prometheusCaFile"}


def test_every_setting_is_tried() -> None:
    assert ABSURD.keys() | ELSEWHERE == SETTING_NAMES.keys()
    assert all(len(values) >= 5 for values in ABSURD.values())


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_value_is_refused_by_its_name(loaded: Load, name: str) -> None:
    """Each is tried alone, so that no other fault hides that it is accepted."""
    for value in ABSURD[name]:
        with pytest.raises(SettingsError) as caught:
            loaded({name: value})
        assert f"  - {name}" in str(caught.value), value
        secret = isinstance(getattr(Settings(), SETTING_NAMES[name]), Secret)
        assert not (secret and len(value) > len("http://") and value in str(caught.value)), value


ACCEPTED: list[dict[str, str]] = [
    {"model": "Qwen/Qwen3-0.6B"},
    {"model": "gpt2"},
    {"model": "/srv/models/My model"},
    {"model": "/srv/models/"},
    {"quantization": "Q4K"},
    {"prometheusRetention": "1y2w3d4h5m6s7ms"},
    {"prometheusRetention": "1h90m"},
    {"prometheusRetention": "292y"},
    {"pythonImage": "registry.example:5000/team/python:3.13-slim"},
    {"pythonImage": "[fd00::1]:5000/python:3.13"},
    {"pythonImage": f"python@sha256:{'0' * 64}"},
    {"pythonImage": f"python:latest@sha256:{'0' * 64}"},
    {"platform": "linux/arm64/v8"},
    {"dockerHost": "unix:///Users/me/.colima/default/docker.sock"},
    {"dockerHost": "ssh://me@box.example:2222", "advertisedHost": "box.example"},
    {"advertisedHost": "fd00::1"},
    {"advertisedHost": "my_box"},
    {"allowedHosts": "llm.example.org, fd00::1, *"},
    {"allowedOrigins": "https://*.example.org:8443,null,app://*"},
    {"engine": "external", "mistralUrl": "http://[fd00::1]:8080/"},
    {"engine": "external", "mistralUrl": "http://gateway/mistral"},
    {"prometheus": "external", "prometheusUrl": "https://p.example/prometheus/"},
    {"alertWebhookUrl": "https://hooks.example/x?token=a%20b#c"},
    {"smtpHost": "[fd00::1]:25", "smtpFrom": "grafana+alerts@mail.example.org"},
    {"smtpUser": "DOMAIN\\user", "smtpPassword": "a b$c%d{e}"},
    {"maxBodyMib": "1", "shutdownGraceSeconds": "0.5", "logLevel": "DEBUG"},
]


@pytest.mark.parametrize("values", ACCEPTED, ids=str)
def test_an_unusual_value_that_works_is_accepted(loaded: Load, values: dict[str, str]) -> None:
    assert loaded(values) != Settings()
