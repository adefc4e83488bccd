import subprocess
import sys

import pytest

from edgedistill.data.tasks import TASKS, Task, find_task
from edgedistill.errors import ConfigError, UnknownNameError

GLUE = {"cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte"}
OTHERS = {
    "squad",
    "squad_ranking",
    "clinc150",
    "banking77",
    "snips",
    "atis",
    "trec",
    "ag_news",
    "imdb",
    "assistant",
    "masked_words",
}
WRITTEN = {"e2e_nlg", "multi30k", "squad_questions"}


def test_the_table_holds_the_promised_tasks():
    assert set(TASKS) == GLUE | OTHERS | WRITTEN


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_says_what_it_is_and_where_it_lives(task):
    assert task.summary
    is_here = task.name in {"assistant", "masked_words"}
    assert task.hub is None if is_here else task.hub.revision == "refs/convert/parquet"
    assert task.hub is None or task.hub.name, "the parquet branch has a folder for every configuration"


def test_mnli_is_judged_on_the_matched_genres():
    assert TASKS["mnli"].splits["validation"] == "validation_matched"


def test_unknown_name():
    with pytest.raises(UnknownNameError, match=r"no task named 'sst'\. Did you mean 'sst2'\?"):
        find_task("sst")


def test_a_yaml_file_is_a_task_named_after_it(tmp_path):
    path = tmp_path / "My Task.yaml"
    path.write_text("text: [review]\nlabel: stars\nlabels: [bad, good]\nmetric: macro_f1\n")
    assert find_task(str(path)) == Task(
        name="my-task", text=("review",), label="stars", labels=("bad", "good"), metric="macro_f1"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("txt: [review]", "unknown key 'txt'"),
        ("kind: pair\ntext: [one]", "a task of kind 'pair' has \\(2,\\) text columns, not 1"),
        ("kind: generation\ntext: [a]", "'accuracy' is none of a task of kind 'generation'; bleu and rouge_l"),
        ("text: [a]\nmetric: bleu", "'bleu' is none of a task of kind 'single'"),
        ("labels: [a, a]", "'a' is listed twice"),
        ("labels: [a]", "one class alone cannot be learnt"),
        ("splits: {dev: dev}", "splits.dev"),
        ("", "is empty. Write at least 'text' and 'label'"),
    ],
)
def test_wrong_yaml(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        find_task(str(path))


def test_missing_yaml(tmp_path):
    with pytest.raises(ConfigError, match="no file"):
        find_task(str(tmp_path / "none.yaml"))


def test_listing_tasks_needs_no_heavy_package():
    heavy = ("torch", "datasets", "transformers")
    code = f"import sys, edgedistill.data.tasks; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
