"""What is written leaves in one piece, in its order, and before the end of the connection."""

import asyncio
import socket

import httpx

from netwright.web.corked import Corked
from netwright.workflows.serve import Service


class Written(asyncio.Transport):
    """Notes what it is told to do."""

    def __init__(self) -> None:
        super().__init__({"peername": "somebody"})
        self.told: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")


async def _pieces() -> list[bytes | str]:
    real = Written()
    corked = Corked(real, asyncio.get_running_loop())
    assert corked.get_extra_info("peername") == "somebody"
    corked.write(b"head")
    corked.write(b"")
    corked.write(b"body")
    corked.flush()
    corked.flush()
    await asyncio.sleep(0)
    corked.write(b"continue")
    await asyncio.sleep(0)
    corked.write(b"last")
    corked.close()
    await asyncio.sleep(0)
    return real.told


def test_pieces_are_joined_and_none_is_left() -> None:
    assert asyncio.run(_pieces()) == [b"headbody", b"continue", b"last", "close"]


def test_who_waits_to_be_told_to_continue_is_told(served: tuple[httpx.Client, Service]) -> None:
    client, _ = served
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), 20) as raw:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
        raw.sendall(f"{head}Content-Length: 3\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"abc")
        assert raw.recv(1000).startswith(b"HTTP/1.1 422 ")
