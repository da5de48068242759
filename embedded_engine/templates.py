"""Chat templates: where a model keeps its own, and how raw prompts pass through the same door.

Pure. The wheel streams only chat requests, and a completion that does not stream can neither be
cancelled nor run beside another request. So every template is wrapped: one message in the role
`RAW_ROLE` reaches the model as it is, anything else goes through the model's own template.
"""

import json
from pathlib import Path
from typing import Any

# No client can mean this by accident; a chat request that uses it is refused by `wire`.
RAW_ROLE = "raw prompt"

_MISSING = (
    "{{ raise_exception('This model has no chat template: "
    "use /v1/completions, or a model that is made for chat.') }}"
)


def with_raw_role(template: str | None) -> str:
    """Wrap a chat template (None: the model has none) so that it lets raw prompts through."""
    # The final newline of a template file is not part of it (Jinja drops it as well).
    chat = _MISSING if template is None else template.removesuffix("\n")
    return (
        f"{{%- if messages and messages[0]['role'] == '{RAW_ROLE}' -%}}"
        "{{- messages[0]['content'] -}}"
        f"{{%- else %}}{chat}{{% endif -%}}"
    )


def folder_template(folder: Path) -> str | None:
    """Return the chat template of a model folder in Hugging Face's layout, if it has one."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            template = _declared(json.loads(path.read_text(encoding="utf-8")))
            if template is not None:
                return template
    return None


def _declared(config: dict[str, Any]) -> str | None:
    """`chat_template` is the text, or a list of named templates of which one is the default."""
    declared = config.get("chat_template")
    if isinstance(declared, list):
        named = {entry["name"]: entry["template"] for entry in declared}
        declared = named.get("default")
    return declared if isinstance(declared, str) else None
