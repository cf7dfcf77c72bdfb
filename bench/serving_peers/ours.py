"""The workloads as predictors; `WORK` is echo, mlp, batch, slow or step."""

from __future__ import annotations

import os
import time
from typing import Any

from spice_runtime import BasePredictor

WORK = os.environ.get("WORK", "echo")


class Predictor(BasePredictor):
    def __init__(self) -> None:
        if WORK in {"mlp", "batch"}:
            import work

            self.mlp = work.Mlp()

    def predict(self, payload: Any) -> Any:
        if WORK == "batch":
            return self.mlp.many(payload)
        if WORK == "mlp":
            return self.mlp.one(payload)
        if WORK == "slow":
            time.sleep(0.02)
        if WORK == "step":
            time.sleep(0.05)
        return {"score": sum(payload["features"]) * payload["k"], "tag": payload["tag"]}
