"""docs/papers.md points at code and at settings, and recipes keep what the papers imply: that all of it is there."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from edgedistill import plugins
from edgedistill.config import build, with_settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`([\w/]+\.py)(?:: ([\w, ]+))?`", PAGE)))
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
SETTINGS = [
    (recipe, words)
    for recipe in plugins.names("recipes")
    for words in sorted(set(re.findall(r"`((?:[\w.]+=[^\s`]+ ?)+)`", SECTIONS.get(recipe, ""))))
]

INVARIANTS: dict[str, dict[str, str]] = {
    "distilbert": {
        "a copy of all layers has soft and cosine 0, and no less than its masked-word loss is left":
            "recipes/test_distilbert.py: test_a_whole_copy_has_nothing_left_to_learn_but_the_hidden_words",
        "at a high temperature the soft loss is half the squared difference of centred logits":
            "losses/test_soft_targets.py: test_high_temperature_approaches_half_the_mse_of_centred_logits",
        "padding changes no term, and the embeddings learn":
            "recipes/test_distilbert.py: test_padding_changes_no_term_and_the_embeddings_learn",
        "copied layers are the teacher's bit for bit":
            "models/test_distilbert.py: test_layers_are_the_teachers_bit_for_bit",
        "66,362,880 parameters": "models/test_distilbert.py: test_half_of_bert_base_has_exactly_66_362_880_parameters",
    },
    "bert2seq": {
        "seven masks cover every target word and the end exactly once":
            "data/test_conditional.py: test_the_masks_together_cover_every_target_token_once_the_end_included",
        "with all words and temperature 1 the loss is the cross entropy less the teacher's entropy":
            "losses/test_top_words.py: "
            "test_of_all_words_at_temperature_1_it_is_cross_entropy_less_the_teachers_entropy",
        "alpha 0 is plain training to the last bit":
            "recipes/test_bert2seq.py: test_without_a_teachers_words_it_is_plain_training_to_the_last_bit",
        "alpha 1 has no gradient of the right word":
            "recipes/test_bert2seq.py: test_with_the_teachers_words_alone_the_right_word_is_no_target",
        "targets add up to 1": "losses/test_top_words.py: test_the_targets_add_up_to_1_at_every_word",
        "padding has no gradient": "recipes/test_bert2seq.py: test_padding_is_no_target",
    },
    "tinybert": {
        "a student that is its teacher has every term 0":
            "recipes/test_tinybert.py: test_a_student_that_is_its_teacher_has_nothing_to_learn",
        "more padding changes no term": "recipes/test_tinybert.py: test_padding_changes_no_term_unless_it_is_counted",
        "nor the answers' loss": "recipes/test_tinybert.py: test_padding_changes_no_answers_loss",
        "scores may be shifted together and not alone":
            "losses/test_attention.py: test_scores_may_be_shifted_together_and_not_alone",
        "masked keys have no gradient": "losses/test_attention.py: test_score_gradient_is_zero_at_padding",
        "the last layer follows the last, and uneven depths are refused":
            "models/test_layers.py: test_uneven_depths_are_refused_with_those_that_fit",
        "the classifier learns last":
            "recipes/test_tinybert.py: test_the_classifier_learns_last",
        "the prediction stage leaves the projections bit for bit":
            "recipes/test_tinybert.py: test_the_answers_leave_the_projections_as_they_were",
        "14,590,632 parameters with a projection, 14,720,060 with heads too":
            "models/test_parameter_counts.py: test_the_papers_models_have_exactly_so_many_parameters",
        "share 0 gives the input only": "data/test_variants.py: test_share_0_gives_the_input_only",
        "variants have as many words, stop words stay":
            "data/test_variants.py: test_words_stay_as_many_and_stop_words_stay",
        "as many variants as said":
            "data/test_variants.py: test_as_many_rows_as_said_each_once_and_originals_as_they_are",
    },
    "fastbert": {
        "speed 0 is the whole model bit for bit":
            "models/test_early_exit.py: test_speed_0_is_the_model_itself_bit_for_bit_one_at_a_time",
        "mean layers never rise with speed": "training/test_exits.py: test_cost_never_rises_with_speed",
        "a text leaves where it leaves alone": "models/test_early_exit.py: test_a_text_does_not_notice_its_company",
        "self-distillation leaves layers and last classifier alone":
            "recipes/test_fastbert.py: test_stages_train_what_the_paper_says_and_nothing_else",
        "uncertainty is 1 for uniform and 0 for one-hot answers":
            "models/test_early_exit.py: test_uncertainty_is_1_for_uniform_and_0_for_one_hot",
        "uncertainty knows no order of classes":
            "models/test_early_exit.py: test_uncertainty_does_not_know_the_classes_order_or_a_shift",
        "a shift of all logits costs nothing":
            "recipes/test_fastbert.py: test_the_loss_is_0_for_a_branch_that_answers_as_the_last_but_for_a_constant",
    },
    "bilstm": {
        "963,002 parameters and the others": "models/test_bilstm.py: test_parameters_are_the_papers",
        "product and distance of a pair's texts alone do not change when these change places":
            "models/test_bilstm.py: test_only_product_and_distance_are_the_same_when_the_texts_change_places",
        "swapping the texts changes the answer":
            "models/test_bilstm.py: test_siamese_reads_each_text_apart_and_swapping_matters",
        "the gradient is 2 (s - t) / C, and shifts of both cost nothing":
            "recipes/test_bilstm.py: test_gradient_of_the_logit_loss_and_what_shifts_do",
        "padding never changes an answer": "models/test_bilstm.py: test_padding_never_changes_an_answer",
        "an empty text is one token": "models/test_bilstm.py: test_an_empty_text_is_one_token_of_padding",
        "rates within three sigma": "data/test_rewrite.py: test_rates_are_those_asked_for",
        "a quarter of the texts are n-grams":
            "data/test_rewrite.py: test_ngrams_are_a_quarter_of_the_texts_and_one_to_five_words_in_a_row",
    },
    "pkd": {
        "only directions count": "losses/test_patience.py: test_only_directions_count",
        "the gradient is orthogonal to the states":
            "losses/test_patience.py: test_gradient_is_orthogonal_to_the_states",
        "from 0 to 4": "losses/test_patience.py: test_from_0_for_the_same_to_4_for_opposite_directions",
        "a state of length 0 is no fault":
            "losses/test_patience.py: test_a_state_of_length_0_counts_1_and_gets_no_gradient",
        "beta 0 is plain distillation bit for bit":
            "recipes/test_pkd.py: test_without_patience_its_weights_are_plain_distillations_bit_for_bit",
        "alpha and beta 0 are fine-tuning bit for bit":
            "recipes/test_pkd.py: test_without_a_teachers_part_it_is_fine_tuning",
        "k - 1 layers, never the last":
            "models/test_layers.py: test_patient_layers_are_one_fewer_than_the_students_and_never_the_last",
        "52,779,264 parameters of 4 layers":
            "models/test_parameter_counts.py: test_the_papers_models_have_exactly_so_many_parameters",
    },
    "mobilebert": {
        "NoNorm is affine": "models/test_mobilebert.py: test_no_norm_is_affine_and_layer_norm_is_not",
        "NoNorm folds into the next layer": "models/test_mobilebert.py: test_no_norm_folds_into_the_next_layer",
        "equal features and attentions cost nothing":
            "losses/test_transfer.py: test_a_copy_has_nothing_to_learn_and_other_layers_have",
        "the cross entropy's floor is the teacher's entropy":
            "losses/test_transfer.py: test_as_in_the_authors_code_a_copy_is_drawn_away_from_itself",
        "normalised features know no shift and scale, statistics do":
            "losses/test_hidden.py: test_normalised_term_ignores_shift_and_positive_scale_where_the_statistics_do_not",
        "a phase gives later layers no gradient":
            "recipes/test_mobilebert.py: test_progressive_phase_leaves_later_layers_without_gradient",
        "progressive transfer changes encoder layers alone, each in its phase":
            "recipes/test_mobilebert.py: test_progressive_transfer_opens_one_layer_at_a_time",
        "features and attentions fit without a projection":
            "models/test_mobilebert.py: test_features_and_attentions_fit_any_teacher_without_projection",
        "24 layers of 512 features and 4 heads on either side":
            "models/test_mobilebert.py: test_around_ib_bert_large_features_and_attentions_have_the_papers_shapes",
        "padding changes no answer, whatever the row of PAD holds":
            "models/test_views.py: test_padding_cannot_change_the_answer",
        "where the row of PAD is not 0 the released model's answers change":
            "models/test_mobilebert.py: test_a_row_of_pad_that_is_not_0_is_read_by_the_stock_model",
        "24,581,888 and 15,485,696 parameters":
            "models/test_mobilebert.py: test_around_ib_bert_large_the_papers_students_come_out",
        "294,205,184 parameters": "models/test_ib_bert.py: test_ib_bert_large_has_the_papers_parameters",
        "842,240 and 463,232 parameters a layer, 4,368,128 in the embeddings":
            "models/test_parameter_counts.py: test_the_papers_models_have_exactly_so_many_parameters",
    },
    "mtdnn_kd": {
        "equal teachers are one, order is free, targets add up to 1":
            "recipes/test_mtdnn_kd.py: test_equal_teachers_are_one_teacher_and_order_does_not_matter",
        "sure teachers give the cross entropy": "recipes/test_mtdnn_kd.py: test_sure_teachers_give_the_cross_entropy",
        "and twice that with the labels beside them":
            "recipes/test_mtdnn_kd.py: test_sure_teachers_and_labels_are_twice_the_cross_entropy",
        "a task without a teacher has the hard loss":
            "recipes/test_mtdnn_kd.py: test_a_task_without_a_teacher_has_exactly_the_hard_loss",
        "other heads get no gradient":
            "models/test_multitask.py: test_a_batch_of_one_task_gives_the_other_heads_no_gradient",
        "SAN answers with a distribution": "models/test_san.py: test_answers_with_a_distribution",
        "one turn is one classifier": "models/test_san.py: test_one_turn_is_one_classifier",
        "scores are compared without a softmax": "recipes/test_mtdnn_kd.py: test_scores_are_compared_as_they_are",
    },
}  # fmt: skip
"""What follows from each paper's method whatever the data, and the test of it."""
TESTS = [(f"{recipe}: {what}", where) for recipe, each in INVARIANTS.items() for what, where in each.items()]


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions, classes and constants of a module, by its text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))
    assigned = (name.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for name in node.targets
                if isinstance(name, ast.Name))  # fmt: skip
    return frozenset((*named, *assigned))


@pytest.mark.parametrize(("file", "names"), FILES)
def test_what_the_page_points_at_is_there(file: str, names: str) -> None:
    (path,) = (path for path in (ROOT / "edgedistill" / file, ROOT / file) if path.is_file())
    missing = {name for name in re.findall(r"\w+", names)} - defined(path)
    assert not missing, f"docs/papers.md: '{file}' has no {', '.join(sorted(missing))}"


@pytest.mark.parametrize(("recipe", "words"), SETTINGS)
def test_settings_of_the_page_are_taken(recipe: str, words: str) -> None:
    config, asked = plugins.load("recipes", recipe).Config, words.split()
    built = build(config, with_settings(config().model_dump(mode="json"), asked), f"docs/papers.md, {recipe}")
    taken = built.model_dump(mode="json")
    assert {**taken, **with_settings(taken, asked)} == taken or any(word.endswith("={}") for word in asked)


def test_every_recipe_has_its_section() -> None:
    assert set(plugins.names("recipes")) <= SECTIONS.keys()
    assert len(FILES) > 40
    assert len(SETTINGS) > 10


@pytest.mark.parametrize(("what", "where"), TESTS, ids=[what for what, _ in TESTS])
def test_every_invariant_has_its_test(what: str, where: str) -> None:
    file, _, name = where.partition(": ")
    assert name in defined(Path(__file__).parent / file), f"{what}: there is no {where}"


def test_the_latency_paragraph_says_what_was_measured() -> None:
    measured = json.loads((ROOT / "docs" / "results" / "speed.json").read_text(encoding="utf-8"))
    times = {row["model"]: row["p90_ms"] for row in measured["rows"]}
    plain, light = times["MobileBERT, LayerNorm, gelu"], times["MobileBERT, NoNorm, relu"]
    one, four = (f"{light[count] / plain[count]:.2f}" for count in ("1", "4"))
    assert f"{one} of the time with one thread, {four} with the paper's four" in PAGE.replace("\n", " ")
