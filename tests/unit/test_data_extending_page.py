"""The examples of docs/extending.md are what the loader takes."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from spice_engine.data.selection import Selection
from spice_engine.data.table import Column

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_processor_of_the_page_works() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    compile(blocks[0], "flight.py", "exec")  # its server is not here
    module: dict[str, Any] = {}
    exec(blocks[1], module)
    selection = Selection(
        measurements=(Column("moisture", "moisture"),),
        params={"widths": "time:10,temperature:6,moisture:4"},
    )
    text = b"1612557000 21.5  40\n\n1612557600 22.0   x\n"
    table = module["parse"](io.BytesIO(text), selection, name="farm")
    assert table.times.tolist() == [1612557000, 1612557600]
    assert table.values["moisture"].tolist()[0] == 40.0
    assert table.examples[0].line == 3
