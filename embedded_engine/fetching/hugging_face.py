"""Fetch a model's repository from Hugging Face into its own cache.

Uses HF_TOKEN, HF_HOME and HF_ENDPOINT as all Hugging Face tools do, and HTTPS_PROXY, NO_PROXY and
SSL_CERT_FILE. The tests cover only what goes wrong: they have no model hub.
"""

from pathlib import Path

from embedded_engine.errors import ModelError
from embedded_engine.fetching.progress import Report
from embedded_engine.settings import MODEL_VARIABLE

# The files of a repository that the engine reads.
_REPOSITORY_FILES = ["*.json", "*.jinja", "*.model", "*.safetensors"]


def ensure_repository(repository: str, report: Report) -> Path:
    """Return the folder of a safetensors repository, downloading what is missing first.

    Raises:
        ModelError: It can't be fetched; the message says why and what to check.
    """
    # Imported late: it takes a second, and most starts don't need it.
    from httpx2 import HTTPError  # noqa: PLC0415
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    report(f"fetching {repository} from Hugging Face")
    try:
        return Path(snapshot_download(repository, allow_patterns=_REPOSITORY_FILES))
    # Hugging Face's client passes on what an HTTP proxy answers as its HTTP library reports it.
    except (HfHubHTTPError, LocalEntryNotFoundError, HTTPError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{repository} can't be fetched from Hugging Face: {reason}\n"
            "Check the id, the network, its HTTP proxy and, for a gated model, HF_TOKEN. Or use "
            f"a model that is on this machine: {MODEL_VARIABLE}=/path/to/model"
        ) from error
