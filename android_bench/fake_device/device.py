"""The device itself: a server on loopback that the real `adb` client takes for a phone.

    with FakeDevice(root) as device:      # a thread of its own
        subprocess.run(["adb", "connect", device.serial])

Its properties, sensors and files lie below `root`; see `furnish`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from android_bench.fake_device import shell, sync
from android_bench.fake_device.faults import Faults
from android_bench.fake_device.furniture import furnish
from android_bench.fake_device.wire import LARGEST, VERSION, Message, Stream, receive, send

_TOKEN = 1
_SETTLE_SECONDS = 0.02
"""For transports to close before their loop does."""
_FEATURES = "shell_v2,cmd,stat_v2"


class FakeDevice:
    """One device on a free port of loopback."""

    def __init__(
        self,
        root: Path,
        faults: Faults | None = None,
        props: Mapping[str, str] | None = None,
        emulator: tuple[str, ...] = (),
    ) -> None:
        self.root, self.faults, self._emulator = root, faults or Faults(), emulator
        self.scripts: list[str] = []
        self.pushed: list[str] = []
        self.port = 0
        furnish(root, props or {})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> FakeDevice:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def plug_in_again(self) -> None:
        """Be there again after it was gone for good, with nothing wrong."""
        self.faults.gone_mid_run = False
        if self._server is None:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def place(self, name: str) -> Path:
        """Where a path of the device is here."""
        return self.root / name.lstrip("/")

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
        self._break()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await asyncio.sleep(_SETTLE_SECONDS)

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _dropped_in_run(self) -> None:
        """The cable is out: for good, for the time of a reboot, or for a moment."""
        reboots = self.faults.reboots_mid_run > 0
        if (self.faults.gone_mid_run or reboots) and self._server:
            self._server.close()
            self._server = None
        if reboots and not self.faults.gone_mid_run:
            self.faults.reboots_mid_run -= 1
            self._loop.call_later(self.faults.away_seconds, lambda: self._loop.create_task(self._listen()))
        self._break()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        streams: dict[int, Stream] = {}
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._answer(await receive(reader), writer, streams, tasks)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            for stream in streams.values():
                stream.end()
            for task in tasks:
                task.cancel()
            writer.close()

    def _answer(
        self, message: Message, writer: asyncio.StreamWriter, streams: dict[int, Stream], tasks: set[asyncio.Task[None]]
    ) -> None:
        if message.command in {"CNXN", "AUTH"}:
            self._greet(writer)
        elif message.command == "OPEN":
            own = len(streams) + 1
            streams[own] = Stream(writer, own, message.first)
            send(writer, Message("OKAY", own, message.first))
            service = message.payload.rstrip(b"\0").decode("utf-8")
            task = asyncio.get_running_loop().create_task(self._serve(streams[own], service))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif message.second in streams:
            stream = streams[message.second]
            if message.command == "WRTE":
                stream.take(message.payload)
            elif message.command == "OKAY":
                stream.confirm()
            elif message.command == "CLSE":
                stream.end()

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        if self.faults.silent:
            return
        if self.faults.unauthorized:
            send(writer, Message("AUTH", _TOKEN, 0, bytes(20)))
            return
        banner = f"device::ro.product.name=double;ro.product.model=Double;ro.product.device=double;features={_FEATURES}"
        send(writer, Message("CNXN", VERSION, LARGEST, banner.encode()))

    async def _serve(self, stream: Stream, service: str) -> None:
        with suppress(EOFError, ConnectionError):
            if service == "sync:":
                await sync.serve(stream, self.place, self.faults, self._break, self.pushed.append)
            elif service.startswith("shell"):
                script = service.partition(":")[2]
                self.scripts.append(script)
                await shell.serve(stream, script, self.root, self.faults, self._dropped_in_run, self._emulator)
            await stream.close()
