"""What docs/predictors.md shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spice_runtime.predictors.base import BasePredictor
from spice_runtime.predictors.host import Host
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "predictors.md").read_text()


def test_the_first_example_is_a_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(from.*?)```", PAGE, re.DOTALL)
    assert found is not None
    names: dict[str, type[BasePredictor]] = {}
    exec(found[1], names)
    monkeypatch.setattr(names["Digits"], "model_path", lambda self: tmp_path)
    (tmp_path / "weights.txt").write_text("w")
    host = Host(names["Digits"](threshold=0.1))
    simple = host.simple()
    assert simple is not None
    assert simple(0, b'{"score": 0.5}')[3] == b'{"digit":7,"sure":true}'


def test_the_options_it_names_are_there() -> None:
    from spice_tui.cli import server_flags

    known = {
        name
        for option in server_flags.FLAGS.values()
        for names in (option.__metadata__[0].default, *option.__metadata__[0].param_decls)
        for name in names.split("/")
    }
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in known, option
