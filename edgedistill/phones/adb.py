"""The real `adb` program, with every argument quoted, a limit to every wait, and errors that say what to do.

No shell of this computer sees any of it. The phone's shell sees one script per call, whose words are quoted; each
ends with a mark and its exit code, so that a connection that broke is never taken for a program that ended well, on
whatever Android version.
"""

from __future__ import annotations

import os
import queue
import secrets
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgedistill.errors import DeviceError, LostPhoneError
from edgedistill.phones.printable import printable

SHORT_SECONDS = 30.0
"""For what a phone answers at once."""
SETTLE_SECONDS = 3.0
"""For a phone that was just plugged in."""
PUSH_BYTES_PER_SECOND = 100_000.0
"""Slower than any cable; with `SHORT_SECONDS` the limit of a copy."""

_ADVICE = {
    "unauthorized": "allow this computer on the phone's screen (Allow USB debugging?), then try again",
    "offline": "unplug it and plug it in again, or run: adb reconnect offline",
    "connecting": "it does not answer yet: wait a moment, or unplug it and plug it in again",
    "authorizing": "it is being asked whether it allows this computer: look at its screen",
    "no permissions": "this user may not open USB devices: install Android's udev rules (package android-sdk-platform-"
    "tools-common), then plug it in again",
    "recovery": "it is in recovery mode: start Android on it",
    "sideload": "it is in sideload mode: start Android on it",
    "bootloader": "it is in its boot loader: start Android on it",
}
_PASSING = {"authorizing", "connecting", "offline"}
"""States that a phone has for a moment while it is plugged in."""
_LOST = (
    "device offline", "no devices/emulators found", "error: closed", "protocol fault", "connection reset",
    "failed to read response", "broken pipe", "device still authorizing", "device unauthorized",
    "connect failed", "eof", "transport", "couldn't read", "device '",
)  # fmt: skip
_FULL = "no space left on device"


@dataclass(frozen=True)
class Listed:
    """A device as `adb devices -l` lists it.

    Attributes:
        serial: its name.
        state: `device` where it can be used.
        details: model and the like.
    """

    serial: str
    state: str
    details: str


@dataclass(frozen=True)
class Answer:
    """How a script on the phone ended, and what it printed."""

    code: int
    out: str
    err: str


def find_adb() -> str:
    """Where the program is.

    Raises:
        DeviceError: nowhere.
    """
    if (found := shutil.which("adb")) is None:
        raise DeviceError("no 'adb' on the PATH. Install Android's platform-tools (Debian: apt install adb).")
    return found


def devices(tool: str) -> list[Listed]:
    """Every device the adb server knows, in its order.

    Raises:
        DeviceError: the server does not start or answer.
    """
    done = _client([tool, "devices", "-l"], SHORT_SECONDS)
    if done.returncode:
        raise DeviceError(f"adb does not list devices: {_last(done.stderr + done.stdout)}. Try: adb kill-server")
    return [_listed(line) for line in done.stdout.splitlines()[1:] if line.strip() and not line.startswith("*")]


def _listed(row: str) -> Listed:
    serial, _, rest = row.strip().partition(" ")
    if rest.strip().startswith("no permissions"):
        return Listed(serial, "no permissions", "")
    state, _, details = rest.strip().partition(" ")
    return Listed(serial, state, details.strip())


def choose(tool: str, serial: str | None = None) -> Phone:
    """The phone of that serial number, or the only one there is.

    Raises:
        DeviceError: none, several, another one, or one that cannot be used; the message says what to do.
    """
    known = _settled(tool, serial)
    if serial is not None and ":" in serial and serial not in {one.serial for one in known}:
        _client([tool, "connect", serial], SHORT_SECONDS)
        known = _settled(tool, serial)
    if not known:
        raise DeviceError(
            "no phone is connected. Plug one in with USB debugging allowed (Settings, Developer options), or connect "
            "over Wi-Fi: adb connect ADDRESS:PORT"
        )
    names = ", ".join(f"{one.serial} ({one.state})" for one in known)
    wanted = [one for one in known if serial in (None, one.serial)]
    if not wanted:
        raise DeviceError(f"no phone '{serial}'. adb knows: {names}.")
    usable = [one for one in wanted if one.state == "device"]
    if len(usable) > 1:
        raise DeviceError(f"several phones are connected: {names}. Name one: --device adb:{usable[0].serial}")
    if not usable:
        one = wanted[0]
        advice = _ADVICE.get(one.state, "see: adb devices -l")
        raise DeviceError(f"phone {one.serial} is {one.state}: {advice}.")
    return Phone(tool, usable[0].serial)


def _settled(tool: str, serial: str | None) -> list[Listed]:
    """Every device, once none that is meant is just on its way in or out; as they are after three seconds."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        known = devices(tool)
        states = {one.state for one in known if serial in (None, one.serial)}
        if "device" in states or not states & _PASSING or time.monotonic() >= end:
            return known
        time.sleep(0.2)


@dataclass(frozen=True)
class Phone:
    """One phone, by the adb program and its serial number."""

    tool: str
    serial: str

    def shell(
        self,
        script: str,
        seconds: float = SHORT_SECONDS,
        silence: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run a script in the phone's shell.

        Args:
            script: POSIX shell; its words quoted by the caller (`quoted`).
            seconds: how long it may take.
            silence: how long it may print nothing; none: as long as it may take.
            on_line: told every line of both its streams as it comes.

        Raises:
            LostPhoneError: the connection broke before the script ended.
            DeviceError: it took too long.
        """
        mark = f"edgedistill-{secrets.token_hex(8)}"
        whole = f"( {script}\n) </dev/null; printf '\\n{mark} %d\\n' $?"
        out, err = self._follow([self.tool, "-s", self.serial, "shell", whole], seconds, silence, on_line)
        text, found, code = out.rpartition(f"\n{mark} ")
        if not found or not code.strip().isdigit():
            raise LostPhoneError(f"phone {self.serial} went away: {_last(err) or 'the connection closed'}.")
        return Answer(int(code), text.replace("\r\n", "\n"), err)

    def push(self, local: Path, remote: str) -> None:
        """Copy one file to the phone.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: no space left, not allowed, or it took too long.
        """
        limit = SHORT_SECONDS + local.stat().st_size / PUSH_BYTES_PER_SECOND
        done = _client([self.tool, "-s", self.serial, "push", str(local.absolute()), remote], limit)
        self._refuse(done, f"copying '{local.name}' to it")

    def pull(self, remote: str, local: Path, size_bytes: int = 0) -> None:
        """Copy one file from the phone.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: no such file, or it took too long.
        """
        limit = SHORT_SECONDS + size_bytes / PUSH_BYTES_PER_SECOND
        done = _client([self.tool, "-s", self.serial, "pull", remote, str(local.absolute())], limit)
        self._refuse(done, f"copying '{remote}' from it")

    def is_back(self) -> bool:
        """Whether it can be used again; one that is reached over a network is called once more."""
        with suppress(DeviceError):
            if self._is_here():
                return True
            if ":" in self.serial:
                _client([self.tool, "disconnect", self.serial], SHORT_SECONDS)
                _client([self.tool, "connect", self.serial], SHORT_SECONDS)
                return self._is_here()
        return False

    def _is_here(self) -> bool:
        return any((one.serial, one.state) == (self.serial, "device") for one in devices(self.tool))

    def _refuse(self, done: subprocess.CompletedProcess[str], doing: str) -> None:
        if done.returncode == 0:
            return
        words = f"{done.stderr}\n{done.stdout}\n"
        if _FULL in words.lower():
            raise DeviceError(f"phone {self.serial} has no space left for {doing}. Free some on it, then try again.")
        reasons = "\n".join(line for line in words.splitlines() if "error" in line.lower())
        if not reasons or any(sign in reasons.lower() for sign in _LOST):
            why = _last(reasons) or "the connection closed"
            raise LostPhoneError(f"phone {self.serial} went away while {doing}: {why}.")
        raise DeviceError(f"phone {self.serial} refused {doing}: {_last(reasons)}.")

    def _follow(
        self, command: Sequence[str], seconds: float, silence: float | None, on_line: Callable[[str], None] | None
    ) -> tuple[str, str]:
        """Both streams of an adb client, watched; the client is ended whatever happens."""
        # A group of its own: Ctrl-C comes to us, and we end what runs on the phone before the client goes.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        lines: queue.Queue[tuple[int, bytes]] = queue.Queue()
        for number, pipe in enumerate((process.stdout, process.stderr)):
            threading.Thread(target=_read, args=(pipe, number, lines), daemon=True).start()
        kept: tuple[list[str], list[str]] = ([], [])
        end, open_pipes = time.monotonic() + seconds, 2
        try:
            while open_pipes:
                wait = min(end - time.monotonic(), silence if silence is not None else seconds)
                try:
                    number, line = lines.get(timeout=max(wait, 0.001))
                except queue.Empty:
                    said = "said nothing" if end > time.monotonic() else "did not finish"
                    raise DeviceError(
                        f"phone {self.serial} {said} for {max(wait, 0.0) or seconds:.0f} s. It may be asleep or busy: "
                        "wake it, close other apps, try again."
                    ) from None
                if not line:
                    open_pipes -= 1
                    continue
                text = line.decode("utf-8", "replace")
                kept[number].append(text)
                if on_line:
                    on_line(text.rstrip())
            process.wait(SHORT_SECONDS)
        finally:
            process.kill()
            process.wait()
        return "".join(kept[0]), "".join(kept[1])


def quoted(*words: str) -> str:
    """Words for the phone's shell, each one word there whatever it holds."""
    return shlex.join(words)


def _read(pipe: IO[bytes] | None, number: int, lines: queue.Queue[tuple[int, bytes]]) -> None:
    assert pipe is not None
    with pipe:
        for line in pipe:
            lines.put((number, line))
    lines.put((number, b""))


def _client(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=seconds, check=False, start_new_session=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LostPhoneError(
            f"'adb {' '.join(command[1:4])} ...' did not finish within {seconds:.0f} s. Is the phone awake?"
        ) from error
    except OSError as error:
        raise DeviceError(f"cannot run '{command[0]}': {error.strerror or error}.") from error


def _last(words: str) -> str:
    """The last line that says something, without adb's own prefix."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return printable(lines[-1].removeprefix("adb: ").removeprefix("error: ").rstrip(".")[:300]) if lines else ""
