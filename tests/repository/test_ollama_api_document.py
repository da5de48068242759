"""docs/ollama-api.md lists what the code has, and nothing else."""

import ast
import re
from http import HTTPStatus
from pathlib import Path

import pytest

import proxy_service
from embedded_engine.wire.unserved import OF_CHAT, OF_COMPLETIONS
from ops.checkout import ROOT
from proxy_service.routes.table import ROUTES
from proxy_service.settings.stack_names import STACK_SETTINGS
from proxy_service.settings.variables import VARIABLES
from proxy_service.translate.options import OPTIONS, RETIRED_OPTIONS
from proxy_service.translate.schemas.containers import MAX_ITEMS
from proxy_service.translate.schemas.keywords import MISSING
from proxy_service.translate.schemas.notes import MAX_NAMES, MAX_PATTERNS
from proxy_service.translate.schemas.references import MAX_SCHEMAS
from proxy_service.translate.schemas.scalars import FORMATS, MAX_INTEGER

PACKAGE = Path(proxy_service.__file__).parent
DOCUMENT = (ROOT / "docs" / "ollama-api.md").read_text(encoding="utf-8")
READERS = {"text", "flag", "integer", "list", "object", "raw"}


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL
    )
    assert found, f"no section {title!r}"
    return found.group(1)


def first_cells(text: str) -> list[str]:
    """Return the names in the first columns of a text's tables, without backticks."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`([^`]+)`", cell)]


def option_row(name: str) -> str:
    """Return the row of an option."""
    option = OPTIONS[name]
    sent = f"`{option.field}`" if option.field else "not sent"
    return f"| `{name}` | {option.kind} | {sent} | {option.note} |"


def fields_read_in(path: str) -> set[str]:
    """Return the names of the request fields that a module reads."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in READERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_endpoint_is_listed_with_its_methods() -> None:
    listed = set(re.findall(r"^\| `([A-Z, ]+) (/\S*)` \|", section("Endpoints"), re.MULTILINE))
    served = {
        (", ".join(route.methods), re.sub(r"<(\w+):\w+>", r":\1", route.path)) for route in ROUTES
    }

    assert listed == served


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_listed_with_its_mapping(name: str) -> None:
    assert option_row(name) in section("Options").splitlines()


def test_only_existing_options_are_listed() -> None:
    assert first_cells(section("Options")) != []
    assert set(re.findall(r"^\| `(\w+)` \|", section("Options"), re.MULTILINE)) == set(OPTIONS)
    retired = re.findall(r"`(\w+)`", section("Options").split("Retired:")[1])
    assert set(retired) == RETIRED_OPTIONS


@pytest.mark.parametrize("path", ["wire/ollama.py", "routes/embeddings.py", "routes/models.py"])
def test_every_field_that_is_read_is_listed(path: str) -> None:
    assert fields_read_in(path) - set(first_cells(section("Request fields"))) == set()


@pytest.mark.parametrize("refused", [OF_CHAT, OF_COMPLETIONS], ids=["chat", "completions"])
def test_every_field_that_the_embedded_engine_refuses_is_listed(refused: dict[str, object]) -> None:
    listed = first_cells(section("OpenAI's fields on the embedded engine"))

    assert set(refused) - set(listed) == set()


def test_every_setting_is_listed_with_its_description() -> None:
    rows = [line for line in section("Settings").splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{v.name}` | {_in_the_stack(v.name)} | {v.accepts} | {v.description} |"
        for v in VARIABLES
    ]


def _in_the_stack(variable: str) -> str:
    return f"`{STACK_SETTINGS[variable]}`" if variable in STACK_SETTINGS else "none"


@pytest.mark.parametrize("path", ["errors.py", "server/request.py", "server/connection.py"])
def test_every_status_of_an_error_is_listed(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    named = {
        HTTPStatus[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "HTTPStatus"
    }
    listed = {int(text) for text in re.findall(r"\b[45]\d\d\b", section("Errors"))}

    assert {status for status in named if status >= HTTPStatus.BAD_REQUEST} <= listed


def test_what_becomes_of_a_schema_is_documented() -> None:
    """Every keyword that may be loosened, every format, and every bound."""
    text = section("Structured output")
    sources = [path.read_text() for path in (PACKAGE / "translate" / "schemas").glob("*.py")]
    loosened = {
        name for source in sources for name in re.findall(r'loosened\.add\("([^"]+)"\)', source)
    }

    assert {name for name in loosened | MISSING if f"`{name}`" not in text} == set()
    assert {name for name in FORMATS if not re.search(rf"\b{name}\b", text)} == set()
    bounds = [MAX_INTEGER, *(f"{bound:,}" for bound in (MAX_SCHEMAS, MAX_PATTERNS, MAX_ITEMS))]
    assert all(str(bound) in text for bound in [*bounds, f"{MAX_NAMES:,}"])
