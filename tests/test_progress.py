"""Progress of what says nothing of how far it is."""

from __future__ import annotations

import os
import time

import pytest

from edgedistill import progress


def test_a_silent_converter_is_seen_to_work_and_its_own_words_stay_off_the_screen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0.02)
    with progress.hushed("converting 3 graphs"):
        os.write(2, b"W0000 a warning of C++\n")
        time.sleep(0.3)
    time.sleep(0.1)
    told = capfd.readouterr().err
    assert told.count("converting 3 graphs: 0 s so far\n") >= 2
    assert "warning" not in told
    assert set(told.splitlines()) == {"converting 3 graphs: 0 s so far"}, "nothing comes after the end"


def test_quick_work_and_other_processes_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress.hushed("converting"):
        pass
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0.01)
    monkeypatch.setenv("RANK", "1")
    with progress.hushed("converting"):
        time.sleep(0.05)
    assert capfd.readouterr().err == ""
