"""What every measured server computes: NumPy and the standard library only."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from typing import Any

import numpy as np


def echo(payload: dict[str, Any]) -> dict[str, Any]:
    """The trivial prediction."""
    return {"score": sum(payload["features"]) * payload["k"], "tag": payload["tag"]}


class Mlp:
    """A perceptron 784-256-10 with fixed weights; a row is 784 numbers, about 6 kB of JSON."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.w1 = (random.standard_normal((784, 256)) * 0.05).astype(np.float32)
        self.w2 = (random.standard_normal((256, 10)) * 0.1).astype(np.float32)

    def rows(self, x: Any) -> np.ndarray:
        """Class probabilities, one row each."""
        rows = np.asarray(x, dtype=np.float32)
        hidden = np.maximum(rows @ self.w1, 0)
        scores = hidden @ self.w2
        scores -= scores.max(1, keepdims=True)
        e = np.exp(scores)
        return e / e.sum(1, keepdims=True)

    def one(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        return self.many([payload])[0]

    def many(self, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to a batch."""
        found = self.rows([payload["x"] for payload in payloads])
        return [
            {"label": int(row.argmax()), "p": [round(value, 6) for value in row.tolist()]}
            for row in found
        ]
