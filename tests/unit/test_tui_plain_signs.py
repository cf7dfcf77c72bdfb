"""Text for terminals that know ASCII only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from spice_tui.terminal.plain_signs import plain


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\x1b[1mtext\x1b[m", "\x1b[1mtext\x1b[m"),
        ("╭─ Pods ─╮│", "+- Pods -+|"),
        ("naïve café", "naive cafe"),
        ("漢字", "????"),
        ("e\u0301", "e"),
        ("⠧", "?"),
    ],
)
def test_signs_become_what_they_are_like(text: str, wanted: str) -> None:
    assert plain(text) == wanted


@given(st.characters())
def test_each_sign_keeps_its_width(sign: str) -> None:
    found = plain(sign)
    assert found.isascii()
    if not sign.isascii():
        assert len(found) == cell_len(sign)
