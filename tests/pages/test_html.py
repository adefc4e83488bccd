import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgedistill import reports
from edgedistill.artifacts import MANIFEST, Delegation, Quantization, TaskCard, read_manifest
from edgedistill.pages.content import MARKS, WORDS
from edgedistill.pages.gather import gather
from edgedistill.pages.html import html
from edgedistill.pages.markdown import markdown
from edgedistill.reports import STUDENT_CARD, VERDICT, ExitPoint, ExitReport, Finding, Measure, Verdict
from edgedistill.searches import SearchPart, SearchReport, SearchTrial
from tests.pages.runs import rungs, write_artifact, write_run, write_training, write_verdict

HOSTILE = "<script>alert('x')</script>"
VOID_ELEMENTS = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Reads a page strictly: every element closed in order, ids once, links to ids that are there."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "sst2")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return html(gather(run))


def test_the_page_is_well_formed(page: str) -> None:
    outline = Outline(page)
    assert page.startswith("<!doctype html>")
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)


def test_the_page_loads_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "video", "base", "form"} & set(outline.tags)
    assert not [name for _, name, _ in outline.attributes if name.startswith("on") or name in {"src", "srcset"}]
    assert all(link.startswith("#") for link in outline.links)
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 150_000


def test_the_verdict_comes_first_in_a_word_and_a_mark(page: str) -> None:
    body = page.partition("<body>")[2]
    assert body.index('<p class="word">Failed</p>') < body.index("<table>")
    assert MARKS["failed"] in body[: body.index('<p class="word">')]


def test_reading_aloud_works(page: str) -> None:
    outline = Outline(page)
    assert '<html lang="en">' in page
    assert outline.tags.count("h1") == 1
    assert outline.tags.count("caption") == outline.tags.count("table") > 0
    assert all(scope for tag, name, scope in outline.attributes if tag == "th" and name == "scope")
    drawn = [values for tag, name, values in outline.attributes if tag == "svg" and name == "role"]
    assert drawn
    assert set(drawn) == {"img"}
    assert page.count('viewBox="') == page.count("<svg") == len(re.findall(r"<svg[^>]*><title>", page))


def test_light_dark_narrow_and_printed(page: str) -> None:
    for query in ("(prefers-color-scheme: dark)", "(max-width: 560px)", "@media print"):
        assert query in page
    assert 'name="viewport"' in page


def test_not_run_looks_and_reads_unlike_passed(page: str) -> None:
    for status in ("passed", "failed", "inconclusive", "not_run"):
        assert f'class="badge is-{status}"><b aria-hidden="true">{MARKS[status]}</b>{WORDS[status]}' in page
    assert "this check ran on one processor only" in page
    assert MARKS["passed"] != MARKS["not_run"]


def test_limits_intervals_findings_and_overrides_are_shown(page: str) -> None:
    assert "[4.17, 4.87]" in page
    assert "≤ 1" in page
    assert "<code>layer_dropped</code>" in page
    assert "int8_agreement = 0.95" in page
    assert page.count("answers are those of the student without layer 3") == 1, "said once, not in the reason as well"


def test_times_ratios_memory_and_validity_are_shown(page: str) -> None:
    for words in (
        "8.56",
        "3.3\N{MULTIPLICATION SIGN}",
        "181.4 MB",
        "semi",
        "throttled",
        "Example Processor",
        "no padding",
    ):
        assert words in page


def test_curves_bars_and_points_are_drawn(page: str) -> None:
    assert page.count("<polyline") == 3 + 1 + 2 + 1, "each term and the sum; a term of zero weight has no curve"
    assert "Never above zero: labels." in page
    assert page.count('class="column"') == 7 + 6
    assert page.count('<g class="mark ') == 4


def test_what_stages_took_is_said(page: str) -> None:
    for words in (
        "2,667 tokens/s",
        "4.8 % of the places padding",
        "2.00 GB memory at most",
        "losses 53 %, gradients 37",
    ):
        assert words in page


def test_commands_hashes_and_seeds_are_shown(page: str) -> None:
    for words in (
        "edgedistill distill mobilebert",
        "edgedistill check",
        "da" * 32,
        "5d" * 32,
        "7e" * 32,
        "torch 2.13.0",
    ):
        assert words in page


def write_hostile(folder: Path) -> Path:
    write_training(folder)
    card = reports.read(reports.StudentCard, folder / "student" / STUDENT_CARD)
    card = card.model_copy(
        update={
            "command": f"edgedistill distill {HOSTILE}",
            "recipe": HOSTILE,
            "task": TaskCard(name=HOSTILE, kind="single", metric="accuracy"),
            "scores": {HOSTILE: 1.0},
            "layer_errors": {HOSTILE: [0.5]},
            "licence": HOSTILE,
        }
    )
    reports.save(card, folder / "student" / STUDENT_CARD)
    stage = folder / "stages" / "<b>stage"
    (folder / "stages" / "01-transfer").rename(stage)
    log = (stage / "log.jsonl").read_text().replace("feature_map", HOSTILE)
    (stage / "log.jsonl").write_text(log)
    artifact = folder / "artifacts" / "<img src=x onerror=alert(1)>"
    write_artifact(artifact, HOSTILE, HOSTILE, labels=(HOSTILE, '"><svg onload=alert(1)>'))
    verdict = write_verdict(artifact)
    bad = rungs(is_failed=True)[1].model_copy(
        update={
            "title": HOSTILE,
            "reason": HOSTILE,
            "measures": (Measure(name=HOSTILE, value=1.0), Measure(name=f"recall/{HOSTILE}", value=1.0)),
            "findings": (Finding(name=HOSTILE, message=HOSTILE),),
        }
    )
    hostile = Verdict.model_validate({**verdict.model_dump(), "rungs": (bad,), "overrides": {HOSTILE: 1.0}})
    reports.save(hostile, artifact / VERDICT)
    return folder


def test_hostile_names_stay_text_in_html(tmp_path: Path) -> None:
    page = html(gather(write_hostile(tmp_path / "<h1>run")))
    outline = Outline(page)
    assert "script" not in outline.tags
    assert "img" not in outline.tags
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert "alert" in page, "it is shown, as text"
    assert page.count("<h1>") == 1


def test_hostile_names_stay_text_in_markdown(tmp_path: Path) -> None:
    text = markdown(gather(write_hostile(tmp_path / "run")))
    unescaped = re.sub(r"`+[^`]*`+", "", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))
    assert not re.search(r"(?<!\\)<", unescaped)


def test_pages_of_less_than_everything(tmp_path: Path) -> None:
    write_artifact(tmp_path / "plain" / "a")
    page = html(gather(tmp_path / "plain"))
    Outline(page)
    for words in ("trained elsewhere", "Not checked", "Not on this page", "not timed. Run: edgedistill bench"):
        assert words in page
    assert '<section id="training">' not in page
    write_training(tmp_path / "young")
    page = html(gather(tmp_path / "young"))
    Outline(page)
    assert "No artifact yet" in page


def test_markdown_says_the_same(run: Path) -> None:
    text = markdown(gather(run))
    for words in (
        "# sst2: failed",
        "**✕ Failed.** Of 3 artifacts: 2 passed, 1 failed.",
        "| mobilebert-sst2-onnx-int8\\_dynamic | ✓ Passed | 0.8842 | 5.17 | 5.5\N{MULTIPLICATION SIGN} |",
        "○ **The same file on a phone**: not run. no phone was asked",
        "agreement 0.931, at least 0.98: **beyond its limit**",
        "**layer\\_dropped**: answers are those",
        "| 01-transfer | 1875 |",
        "| 01-transfer | 106.7 | 2,667 | 4.8 % | 2.00 GB | losses 53 %, gradients 37 %, update 7 %, data 3 % |",
        "    edgedistill distill mobilebert",
    ):
        assert words in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_what_was_kept_of_the_teachers_words_is_said(tmp_path):
    content = gather(write_run(tmp_path / "run"))
    for page in (html(content), markdown(content).replace("\\", "")):
        assert "13,483 of the teacher" in page
        assert "97.71% keep theirs" in page
        assert "128 numbers a word" in page
        assert "0.452 over the training tokens" in page


def exit_point(speed: float, score: float, speedup: float) -> ExitPoint:
    macs = dict.fromkeys(("padded_linear", "padded_all", "true_linear", "true_all"), 100.0 / speedup)
    return ExitPoint(
        speed=speed, score=score, mean_layers=4 / speedup, left_at=(1 - 1 / speedup, 1 / speedup),
        macs=macs, flops=200.0 / speedup, speedup=speedup,
    )  # fmt: skip


def test_the_curve_of_early_exits_is_drawn_with_its_own_speed(tmp_path: Path) -> None:
    points = (exit_point(0.0, 0.9, 1.0), exit_point(0.1, 0.9, 1.0), exit_point(0.3, 0.89, 2.0))
    found = ExitReport(
        metric="accuracy <b>", speed=0.3, max_drop=0.5, flops_count="paper", padded_length=64, dev_rows=50,
        judged_rows=40, each_exit=(0.5, 0.9), dev=points, judged=points,
    )  # fmt: skip
    write_training(tmp_path)
    assert "Early exits" not in markdown(gather(tmp_path)) + html(gather(tmp_path))
    reports.save(found, tmp_path / "student" / reports.EXITS)
    page, text = html(gather(tmp_path)), markdown(gather(tmp_path))
    (drawing,) = (found for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if "by early exit" in found)
    assert drawing.count("<polyline") == 2
    assert drawing.count("<circle") == 1
    assert "accuracy &lt;b&gt;" in drawing
    assert "speed 0.3 chosen on 50 development rows" in text
    rows = [line for line in text.splitlines() if re.match(r"\| 0(\.\d)? ", line)]
    assert [row.split("|")[1].strip() for row in rows] == ["0", "0.3 (its own)"], "0.1 does nothing and has no row"
    (tmp_path / "student" / reports.EXITS).write_text("{]")
    assert "No curve of early exits" in markdown(gather(tmp_path))


def test_the_search_and_the_accelerators_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "artifacts" / "student-onnx-auto"
    write_artifact(folder, "onnx", "int8_dynamic")
    first = SearchTrial(kept=0, size_bytes=60, status="failed", score=0.8, drop_points=2.5, low=1.5, high=3.5)
    chosen = SearchTrial(kept=1, size_bytes=70, status="passed", score=0.88, drop_points=0.25, low=-0.1, high=0.4)
    parts = (
        SearchPart(name="ffn <b>", numbers=900, error=0.31, is_kept=True),
        SearchPart(name="query", numbers=800, error=0.01, is_kept=False),
    )
    search = SearchReport(
        base="int8_dynamic", metric="accuracy", rows=1000, source="train split", student_score=0.885, max_drop=0.5,
        parts=parts, trials=(first, chosen), chosen=chosen,
    )  # fmt: skip
    told = Delegation(
        accelerator="QNN",
        nodes=10,
        delegated=8,
        partitions=3,
        left=("Erf 'n1'", "Erf 'n2'"),
        advice="no",
        source="a list",
    )
    changes = {
        "quantization": Quantization(scheme="auto", tool="example 1.0", search=search),
        "delegations": (told,),
    }
    reports.save(read_manifest(folder).model_copy(update=changes), folder / MANIFEST)
    content = gather(tmp_path / "run")
    page, text = html(content), markdown(content)
    Outline(page)
    assert "<b>" not in page.partition("ffn ")[2][:20]
    for shown in (page, text):
        assert "1 of 2 weights in float" in shown
        assert "0.25 points lost (95 % interval -0.10 to 0.40) on 1000 rows" in shown
        assert "QNN: 8 of 10 nodes in 3 pieces; first left: Erf" in shown
    assert "<td>chosen</td>" in page
    assert "<td>failed</td>" in page
