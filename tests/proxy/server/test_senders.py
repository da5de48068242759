"""Who counts as one sender."""

import pytest

from proxy_service.server.senders import sender_of


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::3", "2001:0db8:0001:0002"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0db8:0001:0002"),
        ("2001:db8:1:3::3", "2001:0db8:0001:0003"),
        ("::1", "0000:0000:0000:0000"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("", ""),
        ("not: an address", "not: an address"),
    ],
)
def test_a_sender_is_an_ipv4_address_or_an_ipv6_network(address: str, sender: str) -> None:
    assert sender_of(address) == sender
