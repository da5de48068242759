"""What the end of a container that can't start means, from its log and exit code: pure."""

import re
from collections.abc import Sequence
from typing import Final

from ops.clients.docker import End

# A shell's exit code for a process that a signal ended is this plus the signal's number.
_KILLED: Final = 128 + 9
_ILLEGAL_INSTRUCTION: Final = 128 + 4

_NO_GPU_MEMORY: Final = (
    "The model doesn't fit into the GPU's memory: choose a smaller model, set `quantization`, or "
    "use more GPUs (`gpus`)."
)
_NO_GPU: Final = (
    "The engine finds no GPU that it can use. A CUDA image needs the setting `gpus`, the NVIDIA "
    "Container Toolkit on the\nDocker host and a driver that is recent enough; without a GPU, set "
    "`mistralrsImage` to a CPU image."
)
_NO_ACCESS: Final = (
    "The model is gated or private, or there is none with this id: check the setting `model`; for "
    "a gated model, request\naccess on its page and run `pulumi config set --secret hfToken`."
)
_WRONG_MODEL: Final = "There is no such model: check the setting `model`."
_NO_NETWORK: Final = (
    "Hugging Face can't be reached from the container: check the Docker host's network, set "
    "`httpsProxy` if it needs an\nHTTP proxy, or set `model` to a folder on it."
)
_NO_MEMORY: Final = (
    "The model needs more memory than the container may use: raise `engineMemoryMb` as far as the "
    "Docker host allows,\nchoose a smaller model, or set `quantization`."
)
_WRONG_PROCESSOR: Final = (
    "The image uses instructions that the Docker host's processor doesn't have: set "
    "`mistralrsImage` to another, or\n`engine` to embedded."
)
_NO_DISK: Final = (
    "The Docker host's disk is full: free some space. `docker system df` shows what Docker uses."
)
_NOT_ALLOWED: Final = (
    "The container's user may not use a file. A model's folder must be readable for all users; the "
    "volume of an earlier\nversion may belong to another user, which CHANGELOG.md explains."
)

# The first pattern in an engine's last lines decides: texts of Mistral.rs, which names the HTTP
# status of Hugging Face, of our embedded engine, of CUDA and of the allocators.
_OF_ENGINES: Final = (
    (r"CUDA_ERROR_OUT_OF_MEMORY|CUDA out of memory", _NO_GPU_MEMORY),
    (r"CUDA_ERROR_|libcuda\.so|libnvidia-ml|no CUDA-capable device", _NO_GPU),
    (r"HTTP 40[13]\)|40[13] Client Error|gated repo", _NO_ACCESS),
    (r"HTTP 404\)|404 Client Error|not a valid model identifier", _WRONG_MODEL),
    (r"neither a file, nor a folder, nor a Hugging Face id|not found at local model", _WRONG_MODEL),
    (r"holds \d+ GGUF files and no safetensors", _WRONG_MODEL),
    (r"memory allocation of \d+ bytes failed|[Oo]ut of memory", _NO_MEMORY),
)
_OF_ALL: Final = (
    (r"No space left on device", _NO_DISK),
    (r"[Pp]ermission denied", _NOT_ALLOWED),
)
# After those: a full disk or a missing permission is also told as a failed access.
_OF_FETCHES: Final = ((r"(access|fetched from|on) `?.*Hugging Face", _NO_NETWORK),)


def meaning_of(lines: Sequence[str], end: End | None, *, engine: bool) -> str:
    """Return what is wrong and what to do, as far as it is known.

    Args:
        lines: The last lines of its log.
        end: How it ended last; None if it still runs or that isn't known.
        engine: Whether it is the engine's.

    Returns:
        An empty text if it isn't known.
    """
    text = "\n".join(lines)
    for pattern, meaning in (*_OF_ENGINES, *_OF_ALL, *_OF_FETCHES) if engine else _OF_ALL:
        if re.search(pattern, text):
            return meaning
    if end is not None and (end.out_of_memory or end.code == _KILLED):
        return _NO_MEMORY if engine else "It was killed, as happens when it lacks memory."
    if engine and end is not None and end.code == _ILLEGAL_INSTRUCTION:
        return _WRONG_PROCESSOR
    return ""
