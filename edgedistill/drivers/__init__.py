"""How the graphs of an artifact are run as one model: the host loops that every runtime shares.

A target opens its graphs; what is done with them is said by the manifest's driver and done here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Buckets, Cascade, Driver, Graph, Heads, Manifest, Seq2Seq, Single
from edgedistill.drivers.cascade import cascade, every_exit
from edgedistill.drivers.seq2seq import Writer
from edgedistill.errors import ArtifactError, DataError
from edgedistill.runner import Arrays, Call, Runner, answer_in_buckets, answer_one_by_one

Open = Callable[[Graph], Call]
"""Makes one graph of an artifact ready to run."""


def run_by_driver(manifest: Manifest, open_graph: Open) -> Runner:
    """The artifact as a function of named arrays.

    Args:
        manifest: names the graphs and the driver.
        open_graph: of the runtime; called once for every graph the driver names.

    Raises:
        ArtifactError: a driver that answers otherwise than with numbers for a text, or one that names no such graph.
    """
    driver = manifest.driver
    if isinstance(driver, Single):
        return _at_lengths(manifest, {None: open_graph(manifest.graph(driver.graph))})
    if isinstance(driver, Buckets | Heads):
        opened = [{graph.length: open_graph(graph)} for graph in map(manifest.graph, driver.graphs)]
        return _at_lengths(manifest, {length: call for one in opened for length, call in one.items()})
    if isinstance(driver, Cascade):
        thresholds = [one.threshold for one in driver.exits]
        run_cascade = every_exit if driver.asks_all else cascade
        by_length = {
            length: run_cascade([open_graph(graph) for graph in segments], thresholds, driver.carry)
            for length, segments in segments_of(manifest, driver).items()
        }
        return _at_lengths(manifest, by_length)
    if isinstance(driver, Seq2Seq):
        encoder, step = manifest.graph(driver.encoder), manifest.graph(driver.decoder)
        longest = manifest.tokenizer.max_length
        return Writer(driver, open_graph(encoder), open_graph(step), step, longest, encoder.length)
    raise ArtifactError(f"this edgedistill cannot run a '{driver.kind}' artifact.")


def segments_of(manifest: Manifest, driver: Cascade) -> dict[int | None, list[Graph]]:
    """The segments of a cascade in order, by their fixed length; None where it is free.

    Raises:
        ArtifactError: a segment is missing, or of another length than those beside it.
    """
    found: dict[int | None, list[Graph]] = {}
    for names in zip(*(one.graphs for one in driver.exits), strict=True):
        segments = [manifest.graph(name) for name in names]
        lengths = {segment.length for segment in segments}
        if len(lengths) > 1:
            raise ArtifactError(f"the segments {', '.join(names)} are not of one length. Export it again.")
        found[lengths.pop()] = segments
    return found


def at_lengths(manifest: Manifest) -> dict[int | None, Driver]:
    """For every fixed length a driver that knows only this one; under None the manifest's own where it is free.

    Raises:
        ArtifactError: the driver names no such graph.
    """
    driver = manifest.driver
    if isinstance(driver, Buckets | Heads):
        return {manifest.graph(n).length: driver.model_copy(update={"graphs": (n,)}) for n in driver.graphs}
    if isinstance(driver, Cascade):
        found: dict[int | None, Driver] = {}
        for place, length in enumerate(segments_of(manifest, driver)):
            exits = tuple(one.model_copy(update={"graphs": (one.graphs[place],)}) for one in driver.exits)
            found[length] = driver.model_copy(update={"exits": exits})
        return found
    return {None: driver}


def _at_lengths(manifest: Manifest, calls: dict[int | None, Call]) -> Runner:
    if None in calls:
        return _of_any_length(manifest, calls[None])
    fixed = {length: call for length, call in calls.items() if length is not None}
    return lambda inputs: answer_in_buckets(fixed, inputs)


def _of_any_length(manifest: Manifest, call: Call) -> Runner:
    longest, first = manifest.tokenizer.max_length, manifest.graphs[0]
    takes_one_text = first.inputs[0].shape[0] == 1

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        length = inputs["input_ids"].shape[1]
        if length > longest:
            raise DataError(f"the batch is {length} tokens long; the model takes {longest}. Cut it first.")
        return answer_one_by_one(call, first.shortest, inputs) if takes_one_text else call(inputs)

    return run
