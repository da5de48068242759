from pathlib import Path

import pytest

from ops.pulumi.settings import read_stack_config
from tests.ops.stack.operating import configure


@pytest.mark.parametrize(
    ("use_digests", "ending"), [("true", "@sha256:1"), ("false", "bookworm"), (False, "bookworm")]
)
def test_a_recorded_digest_is_part_of_the_image_unless_turned_off(
    root: Path, use_digests: object, ending: str
) -> None:
    configure(root, useDigests=use_digests)
    config = read_stack_config(root)
    digests = {config.image_references["pythonImage"]: "sha256:1"}

    assert config.needed_images(digests)["pythonImage"].endswith(ending)
