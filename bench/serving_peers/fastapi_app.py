"""The workloads behind FastAPI on uvicorn: `WORK=echo|mlp uvicorn fastapi_app:app`."""

from __future__ import annotations

import os
from typing import Any

import work
from fastapi import FastAPI

app = FastAPI()
MLP = work.Mlp()
WORK = os.environ.get("WORK", "echo")


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
async def predict(payload: dict[str, Any]) -> dict[str, Any]:
    return MLP.one(payload) if WORK == "mlp" else work.echo(payload)
