"""The variables by which a tracking client in a run finds this engine, and that very run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spice_engine.records import record
from spice_engine.store.runs import RunRow
from spice_engine.store.tracking import uuid_of

ADDRESS = "MLFLOW_TRACKING_URI"


@record
class TrackingVariables:
    """Gives them. `url` tells where the public door is, `certificate` is the file that shows it to
    be ours, where it has one."""

    token: str
    url: Callable[[], str]
    certificate: str = ""

    def __call__(self, row: RunRow) -> Mapping[str, str]:
        """Those of a run. Whoever names a server of their own keeps it."""
        if ADDRESS in row.env:
            return {}
        found = {
            ADDRESS: f"{self.url()}/api/runs/{row.id}",
            "MLFLOW_TRACKING_TOKEN": self.token,
            # Clients print addresses of pages that MLflow's own server has.
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        }
        if row.kind != "workspace":  # its kernels make runs of their own
            found["MLFLOW_RUN_ID"] = uuid_of(row.id)
        if self.certificate:
            found["MLFLOW_TRACKING_SERVER_CERT_PATH"] = self.certificate
        return found
