"""The workloads behind BentoML: `WORK=echo|mlp bentoml serve bentoml_app:Service`."""

import os
import typing as t

import bentoml
import work

WORK = os.environ.get("WORK", "echo")


@bentoml.service(workers=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Service:
    def __init__(self) -> None:
        self.mlp = work.Mlp()

    if WORK == "mlp":

        @bentoml.api
        def predict(self, x: list[float]) -> dict[str, t.Any]:
            return self.mlp.one({"x": x})

    else:

        @bentoml.api
        def predict(self, features: list[float], k: int, tag: str) -> dict[str, t.Any]:
            return work.echo({"features": features, "k": k, "tag": tag})
