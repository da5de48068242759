import os
import signal
import subprocess
import sys

import pytest

from ops.checkout import ROOT
from ops.processes.runner import Interruption, SystemRunner

# Ends only at a signal, with a different exit code for each signal.
WAITING_FOR_A_SIGNAL = (
    "import signal, sys; codes = {signal.SIGINT: 7, signal.SIGTERM: 8}; "
    "signal.pthread_sigmask(signal.SIG_BLOCK, codes); "
    "print('started', flush=True); sys.exit(codes[signal.sigwait(codes)])"
)
RUNNING_IT = (
    "import sys; from ops.processes.runner import Interruption, SystemRunner; "
    f"command = [sys.executable, '-c', {WAITING_FOR_A_SIGNAL!r}]; "
)
SHOWING_IT = f"{RUNNING_IT} sys.exit(SystemRunner().show(command, {{}}))"
# Exits with the program's own code and 10, if it was told of the signal.
RELAYING_IT = (
    f"{RUNNING_IT} ending = Interruption(); "
    "say = lambda line: print(line, flush=True); "
    "code = SystemRunner().relay(command, {}, say, ending); "
    "sys.exit(code + 10 * ending.came.is_set())"
)


@pytest.mark.parametrize(
    ("number", "to_the_group", "code"), [(signal.SIGINT, True, 7), (signal.SIGTERM, False, 8)]
)
@pytest.mark.parametrize(("running", "told"), [(SHOWING_IT, 0), (RELAYING_IT, 10)])
def test_a_program_ends_in_its_own_way(
    number: signal.Signals, to_the_group: object, code: int, running: str, told: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", running],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        send = os.killpg if to_the_group else os.kill
        send(process.pid, number)

        assert process.wait() == code + told


def test_lines_are_passed_on_as_they_come_and_the_program_can_be_interrupted() -> None:
    interruption = Interruption()
    lines: list[str] = []

    def write_line(line: str) -> None:
        lines.append(line)
        interruption.wanted.set()

    command = [sys.executable, "-c", WAITING_FOR_A_SIGNAL]
    code = SystemRunner().relay(command, {}, write_line, interruption)

    assert (code, lines) == (7, ["started"])
    assert not interruption.came.is_set()


def test_a_program_that_ends_by_itself_is_relayed_with_both_outputs() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    lines: list[str] = []

    code = SystemRunner().relay([sys.executable, "-c", script], {}, lines.append, Interruption())

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
