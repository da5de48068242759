"""Record the digests that the images' tags have now: all of them or, if one can't be read, none."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from infra.image_digests import DIGESTS_FILE
from infra.topology import DEFAULT_STACK
from ops.checkout import ROOT
from ops.pin_images.registry import RegistryError, read_digest
from ops.pulumi.settings import read_stack_config
from ops.terminal.console import OperatorError, say


def pin(references: Iterable[str], file: Path) -> int:
    """Write the digest of each reference that has none to ``file``.

    Returns:
        The command's exit code, 0.

    Raises:
        OperatorError: One or more can't be read; the message names them all. Nothing is written.
    """
    digests, problems = {}, []
    for reference in references:
        if "@" in reference:  # it has a digest already
            continue
        try:
            digests[reference] = read_digest(reference)
        except RegistryError as error:
            problems.append(str(error))
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise OperatorError(
            f"These digests can't be read, so {file.name} is unchanged; check the images' settings "
            f"and the network:\n{lines}"
        )
    # Other references stay: other stacks use them.
    recorded = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(
        json.dumps(recorded | digests, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    for reference, digest in digests.items():
        say(f"{reference}@{digest}")
    return 0


def main() -> int:
    """Record the digests of the images that the stack's settings name."""
    config = read_stack_config(ROOT, os.environ.get("STACK") or DEFAULT_STACK)
    return pin(config.image_references.values(), DIGESTS_FILE)
