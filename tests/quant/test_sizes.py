"""Bytes told from parameters: against a sum worked by hand, and against real files."""

import pytest
import torch

from edgedistill import plugins
from edgedistill.models.mobilebert import Shape, unlearned_mobilebert
from edgedistill.models.views import view_of
from edgedistill.quant.sizes import file_bytes
from tests.support import tiny_model

SHAPE = Shape(layers=2, intra=12, num_ffn=3, embedding=32)
LENGTH = 32


def student(hidden=64, vocab_size=1000, shape=SHAPE):
    return unlearned_mobilebert(tiny_model(layers=2, hidden=hidden, vocab_size=vocab_size), "single", shape)


def test_float_weights_take_four_bytes_each_and_tflite_keeps_the_positions_of_its_length():
    model, beside = student(), {"onnx": 3200 + 2 * (5000 + 2 * 960), "tflite": 13_000 + 2 * (29_300 + 2 * 6500)}
    everything = 4 * model.num_parameters()
    assert file_bytes(model, "onnx", "fp32", LENGTH) == everything + beside["onnx"]
    cut = 4 * 64 * (128 - LENGTH)
    assert file_bytes(model, "tflite", "fp32", LENGTH) == everything - cut + beside["tflite"]


@pytest.mark.parametrize(("target", "scale"), [("onnx", 4), ("tflite", 12)])
def test_a_thousand_words_more_cost_their_bytes_and_scales(target, scale):
    for scheme, row in (("fp32", 4 * 32), ("fp16", 2 * 32), ("int8_weight", 32 + scale), ("int8_dynamic", 32 + scale)):
        few, more = (file_bytes(student(vocab_size=size), target, scheme, LENGTH) for size in (2000, 3000))
        assert more - few == 1000 * row


def test_the_meta_device_will_do():
    with torch.device("meta"):
        counted = student()
    for scheme in ("fp32", "fp16", "int8_weight", "int8_dynamic"):
        assert file_bytes(counted, "tflite", scheme, LENGTH) == file_bytes(student(), "tflite", scheme, LENGTH)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fp32", "fp16", "int8_weight", "int8_dynamic"])
@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_real_files_weigh_what_was_computed(target, scheme, tmp_path):
    """Within 5 %, on a model so small that what is beside its numbers is half of the file."""
    pytest.importorskip({"onnx": "onnx", "tflite": "litert_torch"}[target])
    module, model = plugins.load("targets", target), student()
    cfg = module.Config(scheme=scheme, max_length=LENGTH, lengths=(LENGTH,))
    written = module.export(view_of(model), cfg, tmp_path)
    size = sum(path.stat().st_size for path in written.model_files)
    assert file_bytes(model, target, scheme, LENGTH) == pytest.approx(size, rel=0.05)
