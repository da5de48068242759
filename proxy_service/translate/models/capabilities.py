"""What a model can do, as far as the settings say."""

from proxy_service.errors import UnsupportedFeature
from proxy_service.settings.model_details import ModelDetails
from proxy_service.translate.models.names import with_tag
from proxy_service.wire.ollama import Common

# Shown for a model whose capabilities the settings don't name: most chat models can use tools.
DEFAULT_CAPABILITIES = ("completion", "tools")


def refuse_incapable(
    details: ModelDetails, common: Common, *, job: str, tools: bool = False
) -> None:
    """Raise Ollama's error if the request needs what the settings say the model can't do.

    A model whose capabilities the settings don't name may be asked for anything.

    Raises:
        UnsupportedFeature: The model lacks the capability.
    """
    if not details.capabilities:
        return
    if "completion" not in details.capabilities:
        raise UnsupportedFeature(f'"{common.model}" does not support {job}')
    if common.think and "thinking" not in details.capabilities:
        raise UnsupportedFeature(f'"{common.model}" does not support thinking')
    if tools and "tools" not in details.capabilities:
        raise UnsupportedFeature(f"{with_tag(common.model)} does not support tools")
