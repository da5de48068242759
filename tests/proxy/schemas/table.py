"""All schemas by name, and what becomes of them."""

import json
from pathlib import Path
from typing import Any

from tests.proxy.schemas.pydantic_types import TYPES, pydantic_schema

# Written by Zod itself; `tests/clients/test_zod.py` checks that it still writes the same.
ZOD_FILE = Path(__file__).parent / "zod.json"

SCHEMAS: dict[str, dict[str, Any]] = {
    **{f"pydantic: {name}": pydantic_schema(name) for name in TYPES},
    **{
        f"Zod: {name}": schema
        for name, schema in json.loads(ZOD_FILE.read_text(encoding="utf-8")).items()
    },
}

# The keywords that the engine's grammar doesn't fully enforce.
LOOSENED: dict[str, set[str]] = {
    "pydantic: union by function": {"oneOf"},
    "pydantic: addresses": {"format"},
    "pydantic: links": {"format"},
    "pydantic: bytes": {"format"},
    "pydantic: fraction": {"format"},
    "pydantic: conditional": {"not", "if", "dependentRequired", "dependentSchemas"},
    "pydantic: set": {"uniqueItems"},
    "pydantic: set of an enum": {"uniqueItems"},
    "pydantic: dictionary by UUID": {"propertyNames"},
    "pydantic: schema by hand": {"not", "patternProperties", "propertyNames", "minProperties"},
    "Zod: url": {"format"},
    "Zod: emoji": {"format", "pattern"},
    "Zod: hostname": {"pattern"},
    "Zod: JWT": {"format"},
    "Zod: duration": {"pattern"},
    "Zod: pattern with look-ahead": {"pattern"},
    "Zod: several patterns": {"format"},
    "Zod: discriminated union": {"oneOf"},
    "Zod: exclusive union": {"oneOf"},
    "Zod: file": {"format"},
}
