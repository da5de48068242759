"""Who counts as one sender of requests, for the bounds that are divided among senders."""

from ipaddress import IPv6Address

# Characters of the first 64 bits of an address that is written in full. Whoever has one address of
# such a network usually has all of them (RFC 6177).
_NETWORK_CHARACTERS = 19


def sender_of(address: str) -> str:
    """Return the address of a client, or the network of one if it is of IPv6."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.exploded[:_NETWORK_CHARACTERS]
