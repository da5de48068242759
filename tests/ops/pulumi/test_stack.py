from pathlib import Path

import pytest

from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import operator


def test_a_state_that_was_written_only_in_part_is_reported_with_how_to_restore_it(
    root: Path,
) -> None:
    cut_off = Result(255, "", "error: failed to load checkpoint: EOF")
    runner = ScriptedRunner({"pulumi stack export": cut_off})

    with pytest.raises(OperatorError, match=r"checkpoint: EOF\n(?s:.*)copy STACK\.json\.bak over"):
        operator(root, runner).up()
