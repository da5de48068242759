"""What the last lines of a container mean to the operator."""

import pytest

from ops.clients.docker import End
from ops.stack.meaning import meaning_of

NOT_FOUND = (
    "Error: Model `a/b` was not found or is not accessible on Hugging Face (HTTP 404). Check the "
    "model ID and your access token."
)
GATED = (
    "Error: Could not access `a/b` on Hugging Face (HTTP 403) while fetching `config.json`. You "
    "may need to run `mistralrs login` or set HF_TOKEN."
)
NO_HOST = (
    "Error: Failed to access `a/b` on Hugging Face: request error: Dns Failed: resolve dns name"
)
FULL = "Error: Failed to access `a/b` on Hugging Face: I/O error No space left on device"
EMBEDDED = "embedded engine: a/b can't be fetched from Hugging Face: "


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (NOT_FOUND, "no such model"),
        (GATED, "hfToken"),
        (GATED.replace("403", "401"), "none with this id"),
        (NO_HOST, "can't be reached"),
        (FULL, "disk is full"),
        (f"{EMBEDDED}401 Client Error. (Request ID: x)", "hfToken"),
        (f"{EMBEDDED}404 Client Error. (Request ID: x)", "no such model"),
        (f"{EMBEDDED}An error happened while trying to locate the files", "can't be reached"),
        ("embedded engine: m is neither a file, nor a folder, nor a Hugging Face id", "`model`"),
        ("embedded engine: /m holds 2 GGUF files and no safetensors with a", "`model`"),
        ("Error: File `config.json` was not found at local model path `/m`.", "`model`"),
        ('DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")', "GPU's memory"),
        ('DriverError(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected")', "`gpus`"),
        ("libcuda.so.1: cannot open shared object file", "`gpus`"),
        ("memory allocation of 1073741824 bytes failed", "engineMemoryMb"),
        ("Permission denied (os error 13)", "readable for all users"),
    ],
)
def test_an_engines_last_words_are_explained(line: str, word: str) -> None:
    assert word in meaning_of(["loading", line], End(1, out_of_memory=False), engine=True)


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (End(137, out_of_memory=False), "engineMemoryMb"),
        (End(1, out_of_memory=True), "engineMemoryMb"),
        (End(132, out_of_memory=False), "processor"),
    ],
)
def test_an_engine_that_was_killed_says_nothing_but_its_exit_code_does(end: End, word: str) -> None:
    assert word in meaning_of(["loading"], end, engine=True)


def test_what_is_not_known_is_not_explained() -> None:
    assert meaning_of(["panicked at index 3"], End(101, out_of_memory=False), engine=True) == ""
    assert meaning_of([], None, engine=True) == ""


def test_other_services_are_not_told_of_models() -> None:
    killed = meaning_of([], End(137, out_of_memory=False), engine=False)
    assert "memory" in killed
    assert "model" not in killed
    assert meaning_of([NOT_FOUND], None, engine=False) == ""
    assert "disk is full" in meaning_of(["open: No space left on device"], None, engine=False)
