# ruff: noqa: INP001 - a script for the preview workflow, not part of a package
"""Compare what two revisions of the Pulumi program would create, as Markdown for a pull request.

Usage: ``python preview_diff.py base.json head.json``. Both files are written by ``pulumi preview
--json`` for a stack that does not exist yet, so neither needs a running stack or a secret.
"""

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

# GitHub accepts 65,536 characters; the workflow adds some of its own.
COMMENT_LIMIT = 60_000


def planned(preview: dict[str, Any]) -> dict[str, str]:
    """Return the inputs of each resource as YAML, by its type and name."""
    states = [step["newState"] for step in preview["steps"]]
    return {_title(state["urn"]): _text(state.get("inputs", {})) for state in states}


def markdown(base: dict[str, str], head: dict[str, str]) -> str:
    """Return the differences, with one section for each resource that differs."""
    titles = sorted(base.keys() | head.keys())
    sections = [
        _section(title, base.get(title), head.get(title))
        for title in titles
        if base.get(title) != head.get(title)
    ]
    if not sections:
        return "### `pulumi preview`\n\nNo resource changes.\n"
    text = "\n".join(
        ["### `pulumi preview`\n", f"{len(sections)} resource(s) differ.\n", *sections]
    )
    return text if len(text) <= COMMENT_LIMIT else _shortened(text)


def _shortened(text: str) -> str:
    """Cut a comment at the end of a line and close the open Markdown and HTML blocks.

    A diff line can't be mistaken for a block's delimiter, because it starts with +, - or a space.
    """
    lines = text[:COMMENT_LIMIT].splitlines()[:-1]
    if sum(line.startswith("```") for line in lines) % 2:
        lines.append("```")
    if sum(line.startswith("<details>") for line in lines) > lines.count("</details>"):
        lines += ["", "</details>"]
    return "\n".join([*lines, "", "Shortened.", ""])


def _title(urn: str) -> str:
    kind, name = urn.split("::")[-2:]
    return f"{kind.rpartition('$')[2]} {name}"


def _text(inputs: dict[str, Any]) -> str:
    return yaml.safe_dump({name: _expanded(value) for name, value in inputs.items()}, width=200)


def _expanded(value: object) -> object:
    """Split files into lines and parse JSON. Otherwise a dashboard would be one long string."""
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.startswith("{") else _lines(value)
    except ValueError:
        return _lines(value)


def _lines(text: str) -> object:
    return text.splitlines() if "\n" in text else text


def _section(title: str, before: str | None, after: str | None) -> str:
    what = "added" if before is None else "removed" if after is None else "changed"
    lines = difflib.unified_diff(
        (before or "").splitlines(), (after or "").splitlines(), lineterm="", n=2
    )
    shown = "\n".join(line for line in lines if not line.startswith(("---", "+++")))
    return f"<details><summary>{title}: {what}</summary>\n\n```diff\n{shown}\n```\n\n</details>\n"


def main(base: str, head: str) -> None:
    """Print the differences between two preview files."""
    plans = [planned(json.loads(Path(file).read_text(encoding="utf-8"))) for file in (base, head)]
    print(markdown(*plans))  # noqa: T201 - the workflow posts it as a comment


if __name__ == "__main__":
    main(*sys.argv[1:3])
