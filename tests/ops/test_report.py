import json

from ops.report import Outcome, Report, failed, judged, passed, skipped

CHECKS = [
    passed("up", "200"),
    judged("fast", "9 s", ok=False, hint="wait"),
    failed("whole", "half", "repair it"),
    skipped("big", "there is none"),
]


def test_checks_are_printed_as_they_end_and_counted() -> None:
    lines: list[str] = []
    report = Report(lines.append)

    report.section("(1) Size", CHECKS)

    assert lines == [
        "\n(1) Size",
        "  PASS  up — 200",
        "  FAIL  fast — 9 s — wait",
        "  FAIL  whole — half — repair it",
        "  SKIP  big — there is none",
    ]
    assert report.count(Outcome.FAIL) == 2
    assert report.summary == "1 passed, 2 failed, 1 skipped"


def test_the_json_has_all_checks_and_the_counts() -> None:
    report = Report(lambda _line: None)
    report.section("(1) Size", CHECKS)

    written = json.loads(report.as_json())

    assert written["counts"] == {"pass": 1, "fail": 2, "skip": 1}
    assert written["checks"][1] == {
        "name": "fast",
        "outcome": "FAIL",
        "evidence": "9 s",
        "hint": "wait",
    }
