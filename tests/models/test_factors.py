"""Principal directions against the singular value decomposition, in float64."""

import numpy as np
import pytest
import torch

from edgedistill.models.factors import embedding_errors, principal_directions, relative_error
from edgedistill.models.mobilebert import Shape, mobilebert_for
from tests.support import tiny_model


@pytest.fixture
def table():
    return torch.randn(50, 12, dtype=torch.float64) * torch.linspace(0.2, 3, 12, dtype=torch.float64)


def test_by_hand():
    table = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert torch.allclose(principal_directions(table, 1).abs(), torch.tensor([[0.0], [1.0]]), atol=1e-6)
    kept = table @ principal_directions(table, 1)
    assert relative_error(table, kept @ principal_directions(table, 1).T) == pytest.approx(3 / 5)
    # The first row occurs four times as often: 4 * 9 > 1 * 16.
    directions = principal_directions(table, 1, torch.tensor([4.0, 1.0]))
    assert torch.allclose(directions.abs(), torch.tensor([[1.0], [0.0]]), atol=1e-6)
    lost = relative_error(table, table @ directions @ directions.T, torch.tensor([4, 1]))
    assert lost == pytest.approx((16 / (4 * 9 + 16)) ** 0.5)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("size", [1, 5, 11, 12])
def test_the_error_is_the_discarded_singular_values_share(table, size, is_weighted):
    weights = torch.arange(1, 51, dtype=torch.float64) if is_weighted else None
    scaled = table if weights is None else table * weights.sqrt()[:, None]
    values = torch.linalg.svdvals(scaled)
    wanted = (values[size:].square().sum() / values.square().sum()).sqrt()
    directions = principal_directions(table, size, weights)
    assert torch.allclose(directions.T @ directions, torch.eye(size, dtype=torch.float64), atol=1e-12)
    assert relative_error(table, table @ directions @ directions.T, weights) == pytest.approx(float(wanted), abs=1e-7)


def test_no_other_directions_lose_less(table):
    weights = np.arange(50) ** 2
    best = principal_directions(table, 4, weights)
    lost = relative_error(table, table @ best @ best.T, weights)
    for seed in range(20):
        near = best + 0.1 * torch.randn(best.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        other, _ = torch.linalg.qr(near)
        assert relative_error(table, table @ other @ other.T, weights) > lost


def test_only_ratios_of_weights_matter(table):
    weights = torch.rand(50, dtype=torch.float64)
    one, other = (principal_directions(table, 3, weights * scale) for scale in (1, 1000))
    assert torch.allclose(one @ one.T, other @ other.T, atol=1e-9)


def test_a_students_table_stands_for_the_teachers():
    teacher = tiny_model(hidden=16)
    table = teacher.get_input_embeddings().weight.detach().double()
    table[0] = 0.0
    counts = torch.arange(len(table))
    student = mobilebert_for(teacher, "single", Shape(layers=2, embedding=6), counts)
    errors = embedding_errors(student, table.float(), counts)
    directions = principal_directions(table, 6, counts)
    assert errors["tokens"] == pytest.approx(relative_error(table, table @ directions @ directions.T, counts), abs=1e-5)
    assert errors["entries"] == pytest.approx(relative_error(table, table @ directions @ directions.T), abs=1e-5)
    plain = embedding_errors(mobilebert_for(teacher, "single", Shape(layers=2, embedding=6)), table.float(), counts)
    assert plain["entries"] < errors["entries"]
    assert plain["tokens"] > errors["tokens"]


def test_a_mobilebert_teachers_factors_are_copied():
    teacher = tiny_model("mobilebert")
    student = mobilebert_for(teacher, "single", Shape(layers=2))
    table = teacher.get_input_embeddings().weight
    assert embedding_errors(student, table, torch.ones(len(table))) is None
