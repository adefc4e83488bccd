"""The executable pieces of an artifact, and the drivers that say how to run them as one model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgedistill.config import Settings
from edgedistill.data.tasks import Kind, Metric


class Tensor(Settings):
    """One input or output of a graph."""

    name: str
    """Hugging Face's name, such as input_ids or logits."""
    dtype: str
    """NumPy dtype name."""
    shape: tuple[int | str, ...]
    """Sizes; a name where the size is free."""


class State(Settings):
    """A value that a graph returns and wants back at its next call (a decoder's key and value cache)."""

    output: str
    """Where it comes out."""
    input: str
    """Where it goes in."""


class Graph(Settings):
    """One executable piece: a whole file, or one signature or method of it."""

    name: str
    """Unique within the artifact."""
    file: str
    """Model file within the folder."""
    signature: str | None = None
    """Signature (LiteRT) or method (ExecuTorch) in the file; none for a file that is one graph."""
    length: int | None = None
    """Fixed sequence length; none when it is free."""
    shortest: int = 1
    """Fewest tokens it takes where the length is free; shorter texts are padded to them."""
    inputs: tuple[Tensor, ...]
    """In the order the file lists them."""
    outputs: tuple[Tensor, ...]
    """In the order the file lists them."""
    state: tuple[State, ...] = ()
    """Values carried from call to call."""


class Delegation(Settings):
    """What an accelerator, or a library of fast kernels, takes of a graph, as its checker or partitioner says."""

    accelerator: str
    """Its name."""
    nodes: int
    """Of the graph."""
    delegated: int
    """Those it takes; the others stay on the processor."""
    partitions: int
    """Pieces that the delegated nodes lie in; every border costs a copy."""
    unsupported: tuple[str, ...] = ()
    """Operators it does not take."""
    left: tuple[str, ...] = ()
    """Every node that it leaves, operator and name, in the order they run."""
    advice: Literal["yes", "maybe", "no"]
    """Whether the checker would try it."""
    source: str
    """Who says so."""

    @property
    def sentence(self) -> str:
        """It in one line."""
        pieces = f"{self.partitions} piece{'s' if self.partitions != 1 else ''}"
        left = f"; first left: {self.first_left}" if self.first_left else ""
        return f"{self.accelerator}: {self.delegated} of {self.nodes} nodes in {pieces}{left}."

    @property
    def first_left(self) -> str:
        """The first node it leaves; empty where it takes all, or where its checker tells none by name."""
        return next(iter(self.left or self.unsupported), "")


class Single(Settings):
    """Run one graph on the batch as it is."""

    kind: Literal["single"] = "single"
    """Tells the drivers apart."""
    graph: str
    """Name of the graph."""


class Buckets(Settings):
    """Pad to the shortest length that holds the text and run that length's graph."""

    kind: Literal["buckets"] = "buckets"
    """Tells the drivers apart."""
    graphs: tuple[str, ...]
    """Names of the graphs, shortest length first."""


class Exit(Settings):
    """One place where an early-exit model may answer."""

    graphs: tuple[str, ...]
    """Segment that ends here: one for each fixed length, shortest first, or one alone where the length is free."""
    output: str = "logits"
    """Its answer."""
    threshold: float
    """Answer when the normalised entropy (0 certain, 1 uniform) is below this; the last exit always answers."""


class Cascade(Settings):
    """Run segments one after another, feeding hidden states on, until an exit is certain enough."""

    kind: Literal["cascade"] = "cascade"
    """Tells the drivers apart."""
    exits: tuple[Exit, ...]
    """In order; the last one always answers."""
    carry: State = State(output="last_hidden_state", input="hidden_state")
    """What a segment gives that the next one takes in."""
    asks_all: bool = False
    """Whether all segments are run whatever they answer, and each one's answer is given too (`exit_1`, ...): what
    goldens are made with. No app wants that."""


class Head(Settings):
    """One of several answers of a shared encoder."""

    name: str
    """Task name."""
    output: str
    """Output tensor."""
    kind: Kind
    """What the numbers mean."""
    metric: Metric | None = None
    """What it is judged by."""
    labels: tuple[str, ...] = ()
    """Class names in logit order."""


class Heads(Settings):
    """Run one graph; every head answers, and the caller takes the answer of the task that the text is for."""

    kind: Literal["heads"] = "heads"
    """Tells the drivers apart."""
    graphs: tuple[str, ...]
    """The model: one for each fixed length, shortest first, or one alone where the length is free."""
    heads: tuple[Head, ...]
    """What each output is; the main task's first."""

    def head(self, task: str | None) -> Head:
        """The head of that task; the main one's where none is named or none is known."""
        return next((head for head in self.heads if head.name == task), self.heads[0])


class Seq2Seq(Settings):
    """Run the encoder once, then the decoder step until it says stop."""

    kind: Literal["seq2seq"] = "seq2seq"
    """Tells the drivers apart."""
    encoder: str
    """Name of the encoder's graph."""
    decoder: str
    """Name of the decoder step's graph, whose state is the cache."""
    start_id: int
    """First decoder token."""
    end_id: int
    """Token that ends the text."""
    pad_id: int
    """Padding token."""
    max_new_tokens: int
    """Longest answer."""
    beams: int = 1
    """1 is greedy."""
    length_penalty: float = 1.0
    """A text's log-probability is divided by its length to this power."""
    never: tuple[int, ...] = ()
    """Ids that are never written."""
    asks_all: bool = False
    """Whether the greedy text and its words' log-probabilities are given too: what goldens are made with."""


Driver = Annotated[Single | Buckets | Cascade | Heads | Seq2Seq, Field(discriminator="kind")]
