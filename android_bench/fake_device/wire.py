"""The messages of the adb protocol: 24 bytes of header, then a payload."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

VERSION = 0x01000001
"""From this version on, checksums of payloads are not looked at."""
LARGEST = 256 * 1024
"""Bytes of a payload."""
_HEADER = struct.Struct("<6I")


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        command: CNXN, AUTH, OPEN, OKAY, WRTE or CLSE.
        first, second: numbers whose meaning the command decides; of a stream, the sender's id and the receiver's.
        payload: bytes.
    """

    command: str
    first: int
    second: int
    payload: bytes = b""


async def receive(reader: asyncio.StreamReader) -> Message:
    """The next message; `IncompleteReadError` where the other side has gone."""
    command, first, second, length, _, _ = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    payload = await reader.readexactly(length) if length else b""
    return Message(command.to_bytes(4, "little").decode("ascii", "replace"), first, second, payload)


def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Write a message."""
    number = int.from_bytes(message.command.encode("ascii"), "little")
    size = len(message.payload)
    checksum = sum(message.payload) & 0xFFFFFFFF
    header = _HEADER.pack(number, message.first, message.second, size, checksum, number ^ 0xFFFFFFFF)
    writer.write(header + message.payload)


class Stream:
    """One conversation within a connection: bytes both ways, each block confirmed before the next one goes."""

    def __init__(self, writer: asyncio.StreamWriter, own: int, other: int) -> None:
        self.own, self.other = own, other
        self._writer = writer
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = b""
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._is_closed = False

    def take(self, payload: bytes) -> None:
        """Bytes that arrived; confirmed at once."""
        self._arrived.put_nowait(payload)
        send(self._writer, Message("OKAY", self.own, self.other))

    def confirm(self) -> None:
        """The other side has what was sent."""
        self._may_send.set()

    def end(self) -> None:
        """The other side has closed it. A CLSE is never answered with a CLSE."""
        self._is_closed = True
        self._arrived.put_nowait(None)
        self._may_send.set()

    async def write(self, data: bytes) -> None:
        """Send bytes, block by block."""
        for start in range(0, len(data), LARGEST):
            await self._may_send.wait()
            if self._is_closed:
                return
            self._may_send.clear()
            send(self._writer, Message("WRTE", self.own, self.other, data[start : start + LARGEST]))
            await self._writer.drain()

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes; `EOFError` where there are no more."""
        while len(self._buffer) < size:
            block = await self._arrived.get()
            if block is None:
                raise EOFError
            self._buffer += block
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def close(self) -> None:
        """Say that nothing more comes, once the last block has arrived."""
        await self._may_send.wait()
        if not self._is_closed:
            self._is_closed = True
            send(self._writer, Message("CLSE", self.own, self.other))
            await self._writer.drain()
