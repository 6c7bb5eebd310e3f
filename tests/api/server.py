"""What an API server says to PruningJobs."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from tests.control_plane.kubectl import Kubectl
from tests.control_plane.kubectl import Refused as Refused

_PLACES = {
    "PruningJob": "/apis/secateur.dev/v1alpha1/namespaces/{}/pruningjobs",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Pod": "/api/v1/namespaces/{}/pods",
}


class Server(Kubectl):
    """An API server that takes PruningJobs."""

    @cached_property
    def _client(self) -> ApiClient:
        return new_client_from_config(str(self.kubeconfig))

    def accepts(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return what the server would store; raises Refused.

        Asked as ``kubectl create --dry-run=server`` asks, without a process for each of hundreds.
        """
        place = _PLACES[document["kind"]].format(document["metadata"].get("namespace", "default"))
        request = self._client.param_serialize(
            "POST",
            place,
            query_params=[("dryRun", "All"), ("fieldValidation", "Strict")],
            header_params={"Content-Type": "application/json", "Accept": "application/json"},
            body=document,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*request)
        found: dict[str, Any] = json.loads(answer.read())
        if answer.status >= 400:
            raise Refused(_as_kubectl_says(found))
        return found

    def refuses(self, document: dict[str, Any]) -> dict[str, str]:
        """Return what the server says against a document: field to message. Fails if it takes it."""
        try:
            self.accepts(document)
        except Refused as refused:
            return problems(str(refused))
        raise AssertionError(f"the server takes {json.dumps(document)}")


def _as_kubectl_says(status: dict[str, Any]) -> str:
    """Return the words for a server's Status: what is invalid has a line for each cause."""
    causes = status.get("details", {}).get("causes", [])
    if status["reason"] != "Invalid" or not causes:
        return str(status["message"])
    lines = [f"{cause['field']}: {cause['message']}" for cause in causes]
    return f"{status['details']['name']} is invalid: \n" + "\n".join(f"* {line}" for line in lines)


def problems(said: str) -> dict[str, str]:
    """Return what kubectl names in ``is invalid``: field to message."""
    found = re.search(r"is invalid: *\n?(.*)", said, re.S)
    if found is None:
        raise AssertionError(f"refused for something else: {said}")
    lines = [line.removeprefix("* ") for line in found[1].splitlines() if line.strip()]
    return dict(line.split(": ", 1) for line in lines)
