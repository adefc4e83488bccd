"""Which operators the oldest LiteRT knows, and the newest version of each: the table of doctor's rule `oldest_runtime`.

    python benchmarks/oldest_operators.py --runtime VENV/bin/python

VENV holds tflite-runtime 2.14.0 and numpy < 2. A file with one operator of one version is written for every operator
of the schema and loaded there; what it does not know, it refuses by name. The table is written into the package.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

TABLE = Path(__file__).parents[1] / "edgedistill" / "pipeline" / "doctor" / "rules" / "oldest_operators.json"
NEWEST = 12
NO_OPERATORS = {"PLACEHOLDER_FOR_GREATER_OP_CODES", "CUSTOM", "DELEGATE"}
LOAD = """
import json, sys
from pathlib import Path
from importlib.metadata import version
from tflite_runtime.interpreter import Interpreter
newest = {}
for path in Path(sys.argv[1]).iterdir():
    name, _, number = path.stem.rpartition("-")
    try:
        Interpreter(str(path))
    except (ValueError, RuntimeError) as error:
        if "Didn't find op" in str(error) or "out of range" in str(error):
            continue
    newest[name] = max(newest.get(name, 0), int(number))
print(json.dumps({"runtime": f"tflite-runtime {version('tflite-runtime')}", "newest_version": newest}))
"""


def write(path: Path, operator: int, version: int) -> None:
    """A file of one operator that reads one number and gives one."""
    model, graph, code, node = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), version
    node.opcodeIndex, node.inputs, node.outputs = 0, [0], [1]
    graph.tensors = []
    for name in (b"x", b"y"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1], schema.TensorType.FLOAT32, 0
        graph.tensors.append(tensor)
    graph.name, graph.inputs, graph.outputs, graph.operators = b"one", [0], [1], [node]
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [code], [graph]
    flatbuffer_utils.write_model(model, str(path))


def main() -> None:
    """Write the files, load them there, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", required=True, help="Python that has tflite-runtime")
    runtime = parser.parse_args().runtime
    operators = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    with tempfile.TemporaryDirectory() as folder:
        for name, code in operators.items():
            for version in range(1, NEWEST + 1) if name not in NO_OPERATORS else ():
                write(Path(folder) / f"{name}-{version}.tflite", code, version)
        command = [runtime, "-c", LOAD, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout) | {
        "made_by": "benchmarks/oldest_operators.py: a file with one operator of one version, loaded there"
    }
    TABLE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(found['newest_version'])} operators: {TABLE}\n")


if __name__ == "__main__":
    main()
