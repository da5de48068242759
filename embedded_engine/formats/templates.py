"""Chat templates: find a model's own, and wrap it so that raw prompts pass through.

The wheel streams only chat requests, and a completion that doesn't stream can neither be cancelled
nor run beside another request. So every template is wrapped: a message in the role `RAW_ROLE`
reaches the model as it is, and anything else goes through the model's own template.

A template refuses a request, such as two messages of the user in a row, with `raise_exception`.
The wheel reports that in the same way as a mistake in the template. So `REFUSAL` is put before its
text.
"""

from pathlib import Path

import msgspec

from embedded_engine.wire.bodies import RAW_ROLE

REFUSAL = "the chat template refuses this request: "
NO_TEMPLATE = "This model has no chat template"
_MISSING = (
    f"{{{{ raise_exception('{NO_TEMPLATE}: "
    "use /v1/completions, or a model that is made for chat.') }}"
)


class _Named(msgspec.Struct, frozen=True):
    """One of several templates in a file."""

    name: str
    template: str


class _Declaring(msgspec.Struct, frozen=True):
    """The field of a configuration file that is read."""

    chat_template: str | list[_Named] | None = None


def with_raw_role(template: str | None) -> str:
    """Wrap a chat template, or None if the model has none, so that raw prompts pass through."""
    # The final newline of a file isn't part of the template; Jinja drops it as well.
    refusing = f"raise_exception('{REFUSAL}' ~ "
    own = None if template is None else template.removesuffix("\n")
    chat = _MISSING if own is None else own.replace("raise_exception(", refusing)
    return (
        f"{{%- if messages and messages[0]['role'] == '{RAW_ROLE}' -%}}"
        "{{- messages[0]['content'] -}}"
        f"{{%- else %}}{chat}{{% endif -%}}"
    )


def folder_template(folder: Path) -> str | None:
    """Return the chat template of a model folder in Hugging Face's layout, if it has one.

    Raises:
        ValueError: A file with a template can't be read.
    """
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            declared = msgspec.json.decode(path.read_bytes(), type=_Declaring).chat_template
            if isinstance(declared, list):
                named = {entry.name: entry.template for entry in declared}
                declared = named.get("default")
            if declared is not None:
                return declared
    return None
