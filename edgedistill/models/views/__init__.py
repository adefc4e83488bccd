"""Export views: a model's own weights under a forward that every runtime can take.

The stock forward puts masks of -3.4e38, `Where` and `IsNaN` into the graph, which Core ML and phone
accelerators refuse or turn into NaN. A view holds the very same modules (no copy, no change) and answers as they
do on real tokens, whatever the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from edgedistill.artifacts import Buckets, Driver, Single
from edgedistill.errors import ExportError
from edgedistill.models.views import albert, bert, bilstm, distilbert, fastbert, marian, mobilebert
from edgedistill.models.views.heads import Head, head_of
from edgedistill.models.views.pieces import Piece
from edgedistill.models.views.pieces import View as View

_BODIES: dict[str, Any] = {
    "albert": albert.AlbertBody,
    "bert": bert.BertBody,
    "bilstm": bilstm.BiLstmBody,
    "distilbert": distilbert.DistilBertBody,
    "electra": bert.ElectraBody,
    "fastbert": fastbert.fastbert_body,
    "mobilebert": mobilebert.MobileBertBody,
    "roberta": bert.RobertaBody,
}
_NOTES = {
    "fastbert": "the artifact answers with the last classifier alone; set exits=true for one that leaves early",
}
"""What of a family is left out of its artifacts."""
_READ_WHOLE = frozenset({"fastbert"})
"""Families whose body takes the whole model: part of their head reads every token."""


class ExportView(Piece):
    """A model as the targets see it, in one piece; `View` and `Piece` say what its attributes are.

    Attributes:
        vocab_size: rows of the word embeddings.
    """

    def __init__(self, model: PreTrainedModel, body: Any, head: Head) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.config: Any = model.config
        self.kind: str = head.kind
        self.input_names: tuple[str, ...] = tuple(body.input_names)
        self.output_names: tuple[str, ...] = head.output_names
        self.max_positions = int(body.max_positions)
        self.max_unrolled: int | None = getattr(body, "max_unrolled", None)
        self.vocab_size = int(model.config.vocab_size)
        self.note: str = _NOTES.get(model.config.model_type, "")
        self.eval()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Answer a padded batch.

        Args:
            input_ids: (B, S) int32 or int64.
            attention_mask: (B, S) int32 or int64, 1 for real tokens.
            token_type_ids: (B, S) int32 or int64; for the families that have them.

        Returns:
            One float32 tensor per output name: (B, C) for sentences, (B, S, ...) otherwise.
        """
        hidden = self.body(input_ids, attention_mask, token_type_ids, self.head.reads_first_token)
        tokens = (attention_mask, token_type_ids) if self.head.reads_tokens else ()
        answers: tuple[Tensor, ...] = self.head(hidden, *tokens)
        return answers

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Itself."""
        return (self,)

    def driver(self, names: Sequence[tuple[str, ...]], is_fixed: bool) -> Driver:
        """Its one graph, or that of the fitting length; see `View.driver`."""
        return Buckets(graphs=names[0]) if is_fixed else Single(graph=names[0][0])

    @property
    def output_axes(self) -> dict[str, tuple[str | int, ...]]:
        """Shape of every output; "batch" and "length" where it is free."""
        return {name: self.head.axes for name in self.output_names}


def view_of(model: PreTrainedModel) -> ExportView:
    """Build the export view of a loaded model in one piece; its parameters are shared, not copied.

    Raises:
        ExportError: a family, head or variant that has no view.
    """
    family = model.config.model_type
    if model.config.is_encoder_decoder:
        raise ExportError(
            f"the checkpoint is an encoder-decoder ('{family}'), which writes word by word; only 'marian', the family "
            "of bert2seq's students, can be exported. Use it with transformers: AutoModelForSeq2SeqLM and generate."
        )
    if family not in _BODIES:
        raise ExportError(
            f"models of the family '{family}' cannot be exported yet. There are: {', '.join(sorted(_BODIES))} "
            "(MiniLM and other BERT variants are 'bert')."
        )
    _refuse_variants(model.config)
    base = model if family in _READ_WHOLE else getattr(model, model.base_model_prefix, model)
    return ExportView(model, _BODIES[family](base), head_of(model))


def cut_view_of(model: PreTrainedModel) -> View:
    """The view of a model in as many pieces as it has places to leave at; of most models in one.

    Raises:
        ExportError: as `view_of`.
    """
    if model.config.model_type == "marian":
        return marian.Seq2SeqView(model)
    if model.config.model_type != "fastbert":
        return view_of(model)
    _refuse_variants(model.config)
    return fastbert.CascadeView(model)


def _refuse_variants(config: Any) -> None:
    if getattr(config, "is_decoder", False):
        raise ExportError("the checkpoint is configured as a decoder (is_decoder); only encoders have an export view.")
    positions = getattr(config, "position_embedding_type", "absolute")
    if positions != "absolute":
        raise ExportError(f"position embeddings of type '{positions}' have no export view; only 'absolute' has.")
