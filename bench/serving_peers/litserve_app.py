"""The workloads behind LitServe: `WORK=echo|mlp PORT=… BATCH=… python litserve_app.py`."""

import os
from typing import Any

import litserve
import work

WORK = os.environ.get("WORK", "echo")
BATCH = int(os.environ.get("BATCH", "0"))


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.mlp = work.Mlp()

    def decode_request(self, request):  # LitServe reads annotations
        return request

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def predict(self, x: Any) -> Any:
        if isinstance(x, list):
            return self.mlp.many(x)
        return self.mlp.one(x) if WORK == "mlp" else work.echo(x)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=0.005) if BATCH else Api()
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30).run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )
