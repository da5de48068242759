"""How a secret of the settings reaches a resource: encrypted in the state, masked in output."""

import pulumi

from infra.settings.types import Secret


def secret_output(secret: Secret) -> pulumi.Output[str]:
    """Return the text as a Pulumi secret."""
    return pulumi.Output.secret(secret.value)
