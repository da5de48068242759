"""The schemas that clients generate with Zod."""

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent / "node" / "schemas.mjs"
RECORDED = Path(__file__).parents[1] / "proxy" / "schemas" / "zod.json"


def test_zod_writes_the_schemas_that_the_engine_is_tested_with() -> None:
    """To record them anew: ``node tests/clients/node/schemas.mjs > tests/proxy/schemas/zod.json``.

    The engine isn't installed here, so `tests/proxy/routes/test_real_engine_schemas.py` reads them.
    """
    finished = subprocess.run(
        ["node", str(SCRIPT)], capture_output=True, text=True, check=True, timeout=60
    )

    assert json.loads(finished.stdout) == json.loads(RECORDED.read_text(encoding="utf-8"))
