"""Log events as lines of JSON."""

import json
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.telemetry.logs import JSONFormatter, write_event
from tests.proxy.json_values import VALUES


@given(st.dictionaries(st.text(st.characters(), min_size=1, max_size=9), VALUES, max_size=4))
def test_nothing_in_an_event_can_forge_a_line(fields: dict[str, object]) -> None:
    record = logging.LogRecord("name", logging.INFO, "", 0, "event", (), None)
    record.fields = fields

    line = JSONFormatter().format(record)

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert set(json.loads(line)) >= {name for name, value in fields.items() if value is not None}


def test_an_event_written_at_once_is_the_line_that_logging_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("tests.events")
    handler = logging.StreamHandler(stream=None)
    fields = {"text": "é", "none": None, "number": math.pi, "other": ValueError("x")}
    record = logger.makeRecord(
        logger.name, logging.WARNING, "", 0, "event", (), None, extra={"fields": fields}
    )
    handler.setFormatter(JSONFormatter())

    write_event(logger, logging.WARNING, "event", fields)

    at_once = json.loads(capsys.readouterr().out)
    by_logging = json.loads(handler.format(record))
    assert at_once.pop("time").endswith("Z")
    by_logging.pop("time")
    assert at_once == by_logging


def test_an_event_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.events")
    logger.setLevel(logging.WARNING)

    write_event(logger, logging.INFO, "event", {})

    assert capsys.readouterr().out == ""
