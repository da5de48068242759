import json

from ops.report import Outcome, Report, failed, judged, passed, skipped

CHECKS = [
    passed("up", "200"),
    judged("fast", "9 s", ok=False, hint="wait"),
    failed("whole", "half", "repair it"),
    skipped("big", "there is none"),
]


def test_checks_are_printed_as_they_end_in_numbered_sections_and_counted() -> None:
    lines: list[str] = []
    report = Report(lines.append)

    report.section("Size", CHECKS)
    report.section("Speed", CHECKS[:1])
    report.heading("Links")

    assert lines == [
        "\n(1) Size",
        "  PASS  up — 200",
        "  FAIL  fast — 9 s — wait",
        "  FAIL  whole — half — repair it",
        "  SKIP  big — there is none",
        "\n(2) Speed",
        "  PASS  up — 200",
        "\n(3) Links",
    ]
    assert report.count(Outcome.FAIL) == 2
    assert report.summary == "2 passed, 2 failed, 1 skipped"


def test_the_json_has_all_checks_and_the_counts() -> None:
    report = Report(lambda _line: None)
    report.section("Size", CHECKS)

    written = json.loads(report.as_json())

    assert written["counts"] == {"pass": 1, "fail": 2, "skip": 1}
    assert written["checks"][1] == {
        "name": "fast",
        "outcome": "FAIL",
        "evidence": "9 s",
        "hint": "wait",
    }
