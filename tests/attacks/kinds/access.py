"""Attacks on the checks of keys, hosts and origins."""

import secrets

from tests.attacks.attack import attack
from tests.attacks.sender import Connection, Sender


@attack("wrong keys of an address", expects=(401, 429))
async def wrong_keys(sender: Sender) -> None:
    """500 guessed keys per second, on 200 connections."""

    async def send(connection: Connection) -> None:
        key = secrets.token_urlsafe(24)
        await connection.send(sender.http("POST", "/api/chat", b"{}", key=key))
        await connection.answered()

    await sender.visit(send, connections=200)


@attack("wrong keys of an address", expects=(401,))
async def no_keys(sender: Sender) -> None:
    """500 requests per second without a key, with bodies of 100 KiB."""
    data = sender.http("POST", "/api/chat", b"x" * 102_400, key="")
    await sender.ask(data, connections=32)


@attack("foreign hosts are refused", expects=(403,))
async def foreign_hosts(sender: Sender) -> None:
    """Requests for other host names, as a rebound name sends them."""
    names = ("evil.example", "localhost.evil.example", "[::ffff:8.8.8.8]:1")
    data = b"".join(sender.http("GET", "/api/tags", host=name) for name in names)
    await sender.ask(data, connections=32, requests=len(names))


@attack("an `Origin`", expects=(403,))
async def foreign_origins(sender: Sender) -> None:
    """Requests as a web page's browser sends them: with a foreign origin, or only its site."""
    sites = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"
    data = [
        sender.http("POST", "/api/chat", b"{}", headers="Origin: https://evil.example\r\n"),
        sender.http("GET", "/api/tags", headers=sites),
        sender.http("POST", "/api/chat", b"{}", headers="Origin: null\r\n"),
        sender.http("GET", "/metrics", headers=f"Origin: http://{'a' * 8000}\r\n"),
    ]
    await sender.ask(b"".join(data), connections=32, requests=4)
