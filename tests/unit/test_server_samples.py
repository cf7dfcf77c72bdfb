"""Metrics of predictors, as /metrics tells them."""

from __future__ import annotations

from spice_engine.api.server_samples import merged
from spice_engine.serving.server_metrics import _labelled


def test_a_label_with_another_end_of_a_line_stays_one_sample() -> None:
    text = '# TYPE acc gauge\nacc{tag="a\u2028b\rc"} 1.0\n'
    told = merged([_labelled(text, "echo", 3)])
    assert told == '# TYPE acc gauge\nacc{server="echo",replica="3",tag="a\u2028b\rc"} 1.0\n'
