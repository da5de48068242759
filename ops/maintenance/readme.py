"""Keeps the README's settings table equal to `Pulumi.yaml`, which is the source.

The table stands between two markers; ``python -m ops.maintenance.readme`` rewrites it, and a test
fails while the two differ.
"""

from typing import Any

import yaml

from ops.system.paths import ROOT

BEGIN = "<!-- settings: generated from Pulumi.yaml by `make render` -->"
END = "<!-- settings: end -->"


def settings_table(project: dict[str, Any]) -> str:
    """Render the ``config`` section of a parsed ``Pulumi.yaml`` as a Markdown table.

    Args:
        project: The parsed file; each value under ``config`` is a schema mapping.

    Returns:
        Lines of the table, in the file's order, ending with a newline.
    """
    rows = ["| Setting | Default | Meaning |", "| --- | --- | --- |"]
    rows += [_row(key, schema) for key, schema in project["config"].items()]
    return "\n".join(rows) + "\n"


def _row(key: str, schema: dict[str, Any]) -> str:
    meaning = " ".join(schema["description"].split()).replace("|", "\\|")
    return f"| `{key}` | {_default(schema)} | {meaning} |"


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default", "")
    return f"`{default}`" if default != "" else "none"


def with_table(readme: str, table: str) -> str:
    """Return the README's text with the table between its markers replaced.

    Raises:
        ValueError: A marker is missing, so nothing was replaced.
    """
    before, found_begin, rest = readme.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        raise ValueError(f"README.md lacks the markers {BEGIN!r} and {END!r}; put them back")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def main() -> None:
    """Rewrite the table in ``README.md``."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(), settings_table(project)))


if __name__ == "__main__":
    main()
