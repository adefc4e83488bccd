import pytest
from transformers import AutoModelForSequenceClassification

from edgedistill import distill, reports
from edgedistill.errors import ConfigError
from edgedistill.reports import StudentCard
from tests.support import save_checkpoint, tiny_model

FEW = {"max_steps": 2, "batch_size": 8}
SETTINGS = {
    "max_length": 32,
    "hidden_size": 8,
    "general_optim": FEW,
    "intermediate_optim": FEW,
    "prediction_optim": FEW,
}


@pytest.fixture
def run(tiny_bert, tiny_task_dir, tmp_path):
    def run(**changes):
        given = {"task": "sst2", "data": tiny_task_dir, "out": tmp_path / "run", "teacher": tiny_bert}
        return distill("tinybert", **{**given, "config": SETTINGS, **changes})

    return run


def test_a_run_says_what_it_does_and_its_student_is_a_plain_bert(run, tmp_path, capsys):
    student = run()
    said = capsys.readouterr().err
    assert "no --corpus: general distillation is left out, the student starts from random weights" in said
    assert "words that variants may replace: " in said
    model = AutoModelForSequenceClassification.from_pretrained(student)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (8, 4)
    card = reports.read(StudentCard, student / "edgedistill.json")
    assert card.layer_errors == {}  # the widths differ
    begun = run(out=tmp_path / "on", student=student, corpus=corpus(tmp_path))
    assert "general distillation is left out" not in capsys.readouterr().err
    assert (begun.parent / "stages" / "01-general").is_dir()


def test_layer_errors_are_of_the_layers_that_were_followed(run, tmp_path):
    same_width = [f"hidden_size={tiny_model().config.hidden_size}", "num_layers=2"]
    last = reports.read(StudentCard, run(settings=[*same_width, "layer_strategy=top"]) / "edgedistill.json")
    first = run(out=tmp_path / "bottom", settings=[*same_width, "layer_strategy=bottom"])
    assert len(last.layer_errors["attention_kl"]) == 2
    assert last.layer_errors != reports.read(StudentCard, first / "edgedistill.json").layer_errors


def test_a_dry_run_looks_for_no_words(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edgedistill.training.varying.find_candidates", lambda *_, **__: pytest.fail("looked"))
    run(dry_run=True, corpus=corpus(tmp_path))
    said = capsys.readouterr().err
    assert "stage 1: general, 24 rows, 2 steps of 8 rows" in said
    assert "stage 2: intermediate, 320 rows" in said
    assert not (tmp_path / "run").exists()


def test_a_cache_teaches_the_prediction_alone(run, tmp_path):
    cache = {"teacher_cache": tmp_path / "cache", "corpus": corpus(tmp_path)}
    advice = r"or a cache answers.*leave --corpus out, --set intermediate_optim=null, --set augment_copies=0"
    with pytest.raises(ConfigError, match=advice):
        run(**cache)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()
    settings = ["intermediate_optim=null", "augment_copies=0"]
    assert run(teacher_cache=tmp_path / "cache", settings=settings).is_dir()


def test_a_masked_lm_that_cannot_be_used_leaves_no_folder(run, tiny_bert, tmp_path):
    with pytest.raises(ConfigError, match="no masked-word head"):
        run(settings=[f"augment_with={tiny_bert}"])
    assert not (tmp_path / "run").exists()
    mlm = save_checkpoint(tmp_path / "mlm", tiny_model(head="mlm"))
    assert run(settings=[f"augment_with={mlm}"]).is_dir()


def corpus(folder):
    path = folder / "corpus.txt"
    path.write_text("the film is in the scene\nthe plot was quite dull\n" * 12, encoding="utf-8")
    return path
