"""The setting ``gpus``: every form that it may have, and what is said about the others."""

import re

import pytest

from infra.gpus import GpuRequest, parse_gpus

UUID = "GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a"
MIG = "MIG-6f3a1c2e-8d7b-5a49-9c01-2b7de4f60a11"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("none", None),
        (" none ", None),
        ("all", GpuRequest(count=-1)),
        ("1", GpuRequest(count=1)),
        ("8", GpuRequest(count=8)),
        ("device=0", GpuRequest(ids=("0",))),
        ("device=1,0", GpuRequest(ids=("1", "0"))),
        ("device=0,1,10", GpuRequest(ids=("0", "1", "10"))),
        ("device=0, 2", GpuRequest(ids=("0", "2"))),
        (f"device={UUID}", GpuRequest(ids=(UUID,))),
        (f"device={UUID},{MIG}", GpuRequest(ids=(UUID, MIG))),
        ("device=GPU-3a23c669", GpuRequest(ids=("GPU-3a23c669",))),
        (f"device=MIG-{UUID}/1/0", GpuRequest(ids=(f"MIG-{UUID}/1/0",))),
        ("device=0:0,0:1", GpuRequest(ids=("0:0", "0:1"))),
        ('"device=0,1"', GpuRequest(ids=("0", "1"))),
        ("""'"device=0,1"'""", GpuRequest(ids=("0", "1"))),
        ('device="0,1"', GpuRequest(ids=("0", "1"))),
    ],
)
def test_what_is_asked_of_docker(text: str, request_: GpuRequest | None) -> None:
    assert parse_gpus(text) == request_


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must be none, all, a number of GPUs such as 2, or a list such as device=0,1"),
        ("some", "not 'some'"),
        ("0", "not '0'"),
        ("-1", "not '-1'"),
        ("²", "not '²'"),
        ("true", "not 'true'"),
        ("ALL", "not 'ALL'"),
        ("0,1", "did you mean device=0,1?"),
        (f"{UUID},{UUID}", "did you mean device="),
        ("device=", "'' is no device"),
        ("device=0,", "'' is no device"),
        ("device=0 1", "'0 1' is no device"),
        ("device=a", "'a' is no device"),
        ("device=GPU-", "'GPU-' is no device"),
        ("device=GPU-xyz", "'GPU-xyz' is no device"),
        ("device=all", "write all instead of device=all"),
        ("device=0,1,0", "0 is in the list more than once"),
        ("device=0;reboot", "'0;reboot' is no device"),
        ('"device=0', "not '\"device=0'"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_gpus(text)
