"""Chat templates: find a model's own, and wrap it so that raw prompts pass through.

The wheel streams only chat requests, and a completion that doesn't stream can neither be cancelled
nor run beside another request. So every template is wrapped: a message in the role `RAW_ROLE`
reaches the model as it is, and anything else goes through the model's own template.
"""

import json
from pathlib import Path
from typing import Any

from embedded_engine.wire.bodies import RAW_ROLE

_MISSING = (
    "{{ raise_exception('This model has no chat template: "
    "use /v1/completions, or a model that is made for chat.') }}"
)


def with_raw_role(template: str | None) -> str:
    """Wrap a chat template, or None if the model has none, so that raw prompts pass through."""
    # The final newline of a file isn't part of the template; Jinja drops it as well.
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
    """Return `chat_template`: a text, or the default one in a list of named templates."""
    declared = config.get("chat_template")
    if isinstance(declared, list):
        named = {entry["name"]: entry["template"] for entry in declared}
        declared = named.get("default")
    return declared if isinstance(declared, str) else None
