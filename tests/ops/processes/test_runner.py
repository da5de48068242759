import os
import signal
import subprocess
import sys
import threading

import pytest

from ops.checkout import ROOT
from ops.processes.runner import SystemRunner

# Ends only at a signal, with a different exit code for each signal.
WAITING_FOR_A_SIGNAL = (
    "import signal, sys; codes = {signal.SIGINT: 7, signal.SIGTERM: 8}; "
    "signal.pthread_sigmask(signal.SIG_BLOCK, codes); "
    "print('started', flush=True); sys.exit(codes[signal.sigwait(codes)])"
)
RUNNING_IT = (
    "import sys; from ops.processes.runner import SystemRunner; "
    f"sys.exit(SystemRunner().show([sys.executable, '-c', {WAITING_FOR_A_SIGNAL!r}], {{}}))"
)


@pytest.mark.parametrize(
    ("number", "to_the_group", "code"), [(signal.SIGINT, True, 7), (signal.SIGTERM, False, 8)]
)
def test_a_program_that_is_shown_ends_in_its_own_way(
    number: signal.Signals, to_the_group: object, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUNNING_IT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        send = os.killpg if to_the_group else os.kill
        send(process.pid, number)

        assert process.wait() == code


def test_lines_are_passed_on_as_they_come_and_the_program_can_be_interrupted() -> None:
    stop = threading.Event()
    lines: list[str] = []

    def write_line(line: str) -> None:
        lines.append(line)
        stop.set()

    code = SystemRunner().relay([sys.executable, "-c", WAITING_FOR_A_SIGNAL], {}, write_line, stop)

    assert (code, lines) == (7, ["started"])


def test_a_program_that_ends_by_itself_is_relayed_with_both_outputs() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    lines: list[str] = []

    code = SystemRunner().relay([sys.executable, "-c", script], {}, lines.append, threading.Event())

    assert (code, lines) == (3, ["out", "err"])


def test_output_is_returned_with_the_exit_code() -> None:
    script = "import sys; print('out'); print('first\\nlast', file=sys.stderr); sys.exit(3)"

    result = SystemRunner().capture([sys.executable, "-c", script], {})

    assert (result.code, result.stdout, result.reason) == (3, "out\n", "last")


def test_given_variables_are_added_to_the_environment() -> None:
    script = "import os; print(os.environ['GIVEN'], 'PATH' in os.environ)"

    assert (
        SystemRunner().capture([sys.executable, "-c", script], {"GIVEN": "x"}).stdout == "x True\n"
    )
