"""The runner compiled by a user's Android NDK: what an Android library's code needs, which no glibc program can load.

No NDK can be had from a package registry, so this road has not been gone yet.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgedistill.errors import DeviceError
from edgedistill.phones import arm64

_VARIABLES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK")
_API = 24
"""Android 7, the least that the app template takes too."""


def compiler() -> Path:
    """The NDK's compiler for arm64.

    Raises:
        DeviceError: no NDK is named, or it has no such compiler.
    """
    root = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
    if root is None:
        raise DeviceError(
            "--aar needs a runner built by an Android NDK: Android's libraries cannot be loaded by a Linux program. "
            f"Install one and set {_VARIABLES[0]}, or leave --aar out."
        )
    found = sorted(Path(root).glob(f"toolchains/llvm/prebuilt/*/bin/aarch64-linux-android{_API}-clang++"))
    if not found:
        raise DeviceError(f"'{root}' has no compiler for arm64 and Android {_API}. Set {_VARIABLES[0]} to an NDK.")
    return found[0]


def programs() -> Path:
    """A folder with `runner` and `probe`, compiled once; see `arm64.programs`. The C++ library is linked in."""
    return arm64.programs((str(compiler()),), flags="-static-libstdc++")
