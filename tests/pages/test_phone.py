"""A phone's times on the page: beside the score, apart from this machine's, with what others state and published."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill import reports
from edgedistill.artifacts import MANIFEST
from edgedistill.errors import ArtifactError, ConfigError
from edgedistill.files import sha256_of
from edgedistill.gate.ladder import elsewhere
from edgedistill.pages import phone_charts, published
from edgedistill.pages.content import Content
from edgedistill.pages.gather import gather
from edgedistill.pages.html import html
from edgedistill.pages.markdown import markdown
from edgedistill.pipeline.elsewhere import with_elsewhere
from edgedistill.reports import (
    BenchReport,
    Core,
    Heat,
    Moment,
    PhoneCard,
    Rung,
    SelfTest,
    StatedLatency,
    StatedRow,
)
from tests.made import write_artifact
from tests.pages.runs import CREATED, ENVIRONMENT, bench_row, write_run
from tests.pages.test_html import HOSTILE, Outline

ONNX = "student-onnx-fp32"
PHONE = PhoneCard(
    model=f"Acme {HOSTILE}", soc="AC1", android="14", sdk=34, abi="arm64-v8a", kernel="5.10", serial_sha256="0" * 64,
    cores=(Core(number=0, max_khz=1_800_000),),
)  # fmt: skip
SELF_TEST = SelfTest(
    artifact=ONNX, manifest_sha256="0" * 64, status="passed", goldens=9, within=9, agreement=1.0, max_abs=1e-6,
    source="phone",
)  # fmt: skip


def write_phone_bench(artifact: Path, **changes: object) -> BenchReport:
    row = bench_row(artifact.name, 41.5, manifest_sha256=sha256_of(artifact / MANIFEST), source="phone",
                    device="Acme, AC1", affinity="f0")  # fmt: skip
    moments = (
        Moment(seconds=0.0, what="start", heat=Heat(celsius=35.0, mhz=2400.0)),
        Moment(seconds=12.0, what=HOSTILE, heat=Heat(celsius=47.5, mhz=1900.0)),
    )
    report = BenchReport(
        created=CREATED, command="edgedistill bench x --device adb", environment=ENVIRONMENT, mode="rapid", seed=0,
        rows=(row,), phone=PHONE, runtime_build="glibc-wheel", timeline=moments,
        self_tests=(SELF_TEST.model_copy(update={"manifest_sha256": sha256_of(artifact / MANIFEST)}),),
    ).model_copy(update=changes)  # fmt: skip
    reports.save(report, artifact / "bench-acme-000000.json")
    return report


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "run")
    write_phone_bench(next(path for path in sorted((folder / "artifacts").iterdir()) if "onnx" in path.name))
    return folder


def test_a_phones_times_stand_apart_from_this_machines(run: Path) -> None:
    content = gather(run)
    assert [bench.source for bench in content.benches].count("phone") == 1
    assert content.plot is not None
    assert content.phone_plot is not None
    assert [point.p90_ms for point in content.phone_plot.points] == [pytest.approx(41.5 * 1.03)]
    assert pytest.approx(41.5 * 1.03) not in [point.p90_ms for point in content.plot.points]
    assert content.phone_plot.device == "Acme, AC1"
    (row,) = next(bench for bench in content.benches if bench.phone).rows
    assert row.score is not None, "the accuracy stands beside the time"
    assert row.ratio is None, "PyTorch was not timed on the phone"
    assert {one.source for one in content.published} == {"published"}


def test_the_page_shows_it_all_and_escapes_it(run: Path) -> None:
    content = gather(run)
    for text in (html(content), markdown(content)):
        for shown in ("9 of 9 goldens", "AC1", "Pixel 4", "Sun et al. 2020", "Snapdragon 8 Elite", "published"):
            assert shown in text, shown
    page = html(content)
    assert HOSTILE not in page
    assert HOSTILE not in markdown(content)
    outline = Outline(page)
    assert "phone-plot" in outline.ids
    assert "47.5 degrees, 1900 MHz" in page
    assert "degrees at first, 47.5 at most" in markdown(content)


def test_an_emulator_has_no_times_on_the_page(run: Path) -> None:
    artifact = next(path for path in sorted((run / "artifacts").iterdir()) if "onnx" in path.name)
    write_phone_bench(artifact, rows=(), timeline=())
    content = gather(run)
    assert content.phone_plot is None
    assert content.published == ()
    for text in (html(content), markdown(content)):
        assert "No times: this is an emulator" in text


def test_what_other_tools_state_is_shown_as_theirs(run: Path) -> None:
    artifact = next(path for path in sorted((run / "artifacts").iterdir()) if "onnx" in path.name)
    stated = StatedRow(
        model=HOSTILE, tool="minibench", source="phone", device="Pixel 8", latency=StatedLatency(mean_ms=7.25),
        fallback_share=0.08, notes=("means only",),
    )  # fmt: skip
    report = BenchReport(
        created=CREATED, command="edgedistill bench --import x", environment=ENVIRONMENT, mode=None, seed=0, rows=(),
        stated=(stated,),
    )  # fmt: skip
    reports.save(report, artifact / "bench-imported.json")
    content: Content = gather(run)
    for text in (html(content), markdown(content)):
        for shown in ("minibench", "Pixel 8", "7.25", "8 %", "means only"):
            assert shown in text, shown
        assert HOSTILE not in text


def test_a_phone_that_says_no_temperature_draws_no_course() -> None:
    assert (
        phone_charts.warmth((Moment(seconds=0, what="a", heat=Heat()), Moment(seconds=1, what="b", heat=Heat()))) == ""
    )


def test_published_figures_are_whole_and_cited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = published.published()
    at = {(row.model, row.device): row.latency.headline for row in rows}
    assert at["MobileBERT", "Pixel 4"] == ("mean", 62.0)
    assert at["MobileBERT", "Snapdragon 8 Elite"] == ("p90", 1.56)
    assert all(row.citation for row in rows)
    monkeypatch.setattr(published.resources, "folder", lambda name: tmp_path)
    for text, reason in (("{}", "a list"), ("[{model: a, tool: b, mean_ms: 1}]", "needs a citation"),
                         ("[{model: a, tool: b, citation: c}]", "no time of an inference")):  # fmt: skip
        (tmp_path / published.FILE).write_text(text)
        with pytest.raises(ConfigError, match=reason):
            published.published()


def test_the_gate_repeats_what_phones_answered(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "artifact")
    ladder, sha256 = elsewhere(), sha256_of(artifact / MANIFEST)

    def rung_after(*tests: SelfTest) -> Rung:
        write_phone_bench(artifact, self_tests=tests)
        return next(rung for rung in with_elsewhere(ladder, artifact, sha256) if rung.name == "phone")

    own = SELF_TEST.model_copy(update={"manifest_sha256": sha256})
    assert with_elsewhere(ladder, artifact, sha256) == ladder
    passed = rung_after(own)
    assert (passed.status, passed.rows) == ("passed", 9)
    assert passed.measures[0].name.startswith("Acme")
    failed = rung_after(own.model_copy(update={"status": "failed", "within": 8, "reason": "1 beyond its tolerance."}))
    assert failed.status == "failed"
    assert "1 beyond its tolerance" in failed.reason
    assert rung_after(SELF_TEST).status == "not_run", "of another manifest"
    assert rung_after(own.model_copy(update={"source": "qemu"})).status == "not_run", "an emulator is no phone"
    (artifact / "bench-acme-000000.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="bench-acme"):
        with_elsewhere(ladder, artifact, sha256)
