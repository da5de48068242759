import os
import signal
import subprocess
import sys

import pytest

from ops.system.paths import ROOT
from ops.system.runner import SystemRunner

# Ends by itself only after a signal, and then in its own time and with its own exit code.
PATIENT = (
    "import signal, sys; "
    "signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); "
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(8)); "
    "print('started', flush=True); signal.pause()"
)
RUNNING_IT = (
    "import sys; from ops.system.runner import SystemRunner; "
    f"sys.exit(SystemRunner().show([sys.executable, '-c', {PATIENT!r}], {{}}))"
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


def test_output_is_kept_with_the_exit_code() -> None:
    script = "import sys; print('out'); print('first\\nlast', file=sys.stderr); sys.exit(3)"

    result = SystemRunner().capture([sys.executable, "-c", script], {})

    assert (result.code, result.stdout, result.reason) == (3, "out\n", "last")


def test_given_variables_come_on_top_of_the_environment() -> None:
    script = "import os; print(os.environ['GIVEN'], 'PATH' in os.environ)"

    assert (
        SystemRunner().capture([sys.executable, "-c", script], {"GIVEN": "x"}).stdout == "x True\n"
    )
