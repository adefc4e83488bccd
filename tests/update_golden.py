"""Store the recipes' loss curves anew: `python -m tests.update_golden "why the numbers changed" [recipe ...]`.

The only way to change tests/golden; the reason goes into the files and into the commit message.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

from tests.recipes.kitchen import ROADS, cook, ingredients_of, smoke_config

RECIPES = Path(__file__).parent / "golden" / "recipes.json"


def main(reason: str, *recipes: str) -> None:
    """Run recipes small, all unless named, and store what their terms were."""
    torch.set_num_threads(1)
    made_by = {
        "command": f"python -m tests.update_golden {json.dumps(reason)}",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "why": reason,
    }
    golden = json.loads(RECIPES.read_text(encoding="utf-8")) if recipes else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in recipes or ROADS:
            given = ingredients_of(name, Path(folder) / f"{name}-ingredients")
            _, lines = cook(name, smoke_config(name), given, Path(folder) / name)
            curve = [{key: line[key] for key in ("stage", "step", "loss", "terms")} for line in lines]
            golden[name] = {"made_by": made_by, "curve": curve}
    RECIPES.parent.mkdir(exist_ok=True)
    RECIPES.write_text(json.dumps(dict(sorted(golden.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
