"""What a value must look like for the program that reads it later.

Pure functions, each with the source of its rule. What the proxy reads is checked by the proxy's own
parsers instead (see ``proxy_variables``).
"""

import re
from urllib.parse import urlsplit

from proxy_service.settings.parsers import BIND, parse_url
from proxy_service.settings.values import is_host

_VISIBLE = re.compile(r"[!-~]+")

# What `mistralrs serve --quant` takes, in any case (its parse_isq_value, from 0.9.2 on).
QUANTIZATIONS = (
    *("auto", "2", "3", "4", "5", "6", "8"),
    *("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q8_1"),
    *("q2k", "q3k", "q4k", "q5k", "q6k", "q8k", "hqq4", "hqq8"),
    *("fp8", "f8q8", "mxfp4", "afq2", "afq3", "afq4", "afq6", "afq8"),
)

# Units of Prometheus' durations, the largest first, in nanoseconds (model.ParseDuration).
_MILLISECOND = 1_000_000
_UNITS = {
    "y": 365 * 86_400_000 * _MILLISECOND,
    "w": 7 * 86_400_000 * _MILLISECOND,
    "d": 86_400_000 * _MILLISECOND,
    "h": 3_600_000 * _MILLISECOND,
    "m": 60_000 * _MILLISECOND,
    "s": 1_000 * _MILLISECOND,
    "ms": _MILLISECOND,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS))
_LONGEST_DURATION = 2**63 - 1

# Docker's references (github.com/distribution/reference), with a tag or a digest.
_PATH = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_PATH}(?:/{_PATH})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
# A name of 255 characters at most, the registry included.
_LONGEST_IMAGE_NAME = 255

# Linux on one of the architectures that Docker builds for; its images have no other system.
_PLATFORM = re.compile(
    r"linux/(amd64(/v[1-4])?|arm64(/v8)?|arm(/v[5-7])?|386|ppc64le|riscv64|s390x|loong64|mips64le)"
)

# Hugging Face's repositories: the rules of huggingface_hub's validate_repo_id.
_HUB_ID = re.compile(r"(?:[A-Za-z0-9_.-]+/)?[A-Za-z0-9_.-]{1,96}")

# A subset of what Grafana's IsEmail accepts, without quotes, and with a domain that has a dot.
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?=[A-Za-z0-9.-]+\.[A-Za-z])[A-Za-z0-9.-]+[A-Za-z]"
)

# What Grafana replaces in the value of a setting: ${NAME}, $__file{PATH} and %(name)s.
_GRAFANA_REPLACES = re.compile(r"\$(__\w+)?\{[^}]+\}|%\([^)]+\)s")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_duration(text: str) -> bool:
    """Return whether Prometheus reads a text as a duration above 0.

    Each unit at most once, the largest first, below 2^63 ns. It takes a retention of 0 for none
    given, and uses its default.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return False
    length = sum(int(count) * _UNITS[unit] for unit, count in found.groupdict("0").items())
    return 0 < length <= _LONGEST_DURATION


def is_exact_image(text: str) -> bool:
    """Return whether a text is an image reference with a digest, or a tag other than latest."""
    found = _IMAGE.fullmatch(text)
    if found is None or len(found["name"]) > _LONGEST_IMAGE_NAME:
        return False
    return bool(found["digest"]) or found["tag"] not in (None, "latest")


def is_platform(text: str) -> bool:
    """Return whether images can be built for a platform."""
    return _PLATFORM.fullmatch(text) is not None


def is_docker_host(text: str) -> bool:
    """Return whether Docker's client can connect to an address: by socket, TCP or SSH."""
    if not _VISIBLE.fullmatch(text) or "?" in text or "#" in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return not parts.netloc and len(parts.path) > 1
    if not is_host(parts.hostname or "") or port == 0 or parts.password is not None:
        return False
    if parts.scheme == "tcp":
        return port is not None and parts.username is None and parts.path in ("", "/")
    return parts.scheme == "ssh"


def is_hub_id(text: str) -> bool:
    """Return whether a text can be the id of a model on Hugging Face."""
    return (
        _HUB_ID.fullmatch(text) is not None
        and not any(
            part.startswith(("-", ".")) or part.endswith(("-", ".")) for part in text.split("/")
        )
        and "--" not in text
        and ".." not in text
        and not text.endswith(".git")
    )


def is_mountable_folder(text: str) -> bool:
    """Return whether a folder can be mounted under its own name; its path must be absolute."""
    is_plain = not _CONTROL.search(text) and ".." not in text.split("/")
    return text.startswith("/") and is_plain and text.strip("/") != ""


def is_email(text: str) -> bool:
    """Return whether Grafana takes a text for an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_host_and_port(text: str) -> bool:
    """Return whether a text is ``host:port``, an IPv6 address in brackets."""
    try:
        address = BIND.parse(text)
    except ValueError:
        return False
    return not text.startswith(":") and not str(address).endswith(":0")


def is_base_url(text: str) -> bool:
    """Return whether paths can be added to a URL: http or https, without query and fragment."""
    try:
        parse_url(text, ("http", "https"))
    except ValueError:
        return False
    return True


def is_url(text: str) -> bool:
    """Return whether a text is a whole http or https URL, which may have a query."""
    return _VISIBLE.fullmatch(text) is not None and is_base_url(re.split("[?#]", text)[0])


def is_header_value(text: str) -> bool:
    """Return whether a text can be sent in an HTTP header, as tokens are."""
    return _VISIBLE.fullmatch(text) is not None


def is_one_line(text: str) -> bool:
    """Return whether a text has no line break or other control character, as in a login."""
    return not _CONTROL.search(text)


def is_variable(text: str) -> bool:
    """Return whether a text can be the name of an environment variable."""
    return _VARIABLE.fullmatch(text) is not None


def is_grafana_value(text: str) -> bool:
    """Return whether Grafana takes the value of one of its settings as it is written."""
    return is_one_line(text) and not _GRAFANA_REPLACES.search(text)
