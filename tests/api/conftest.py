"""The API server of these tests, with the CRD installed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.api.server import Server
from tests.control_plane.access import NoApiServer, api_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real API server that takes PruningJobs."""
    try:
        with api_server(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
            server = Server(kubeconfig)
            server.install_crd()
            yield server
    except NoApiServer as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def namespace(server: Server) -> Iterator[str]:
    """A namespace of the test module's own."""
    name = f"a-api-{secrets.token_hex(4)}"
    server.kubectl("create", "namespace", name)
    yield name
    server.kubectl("delete", "namespace", name, "--wait=false")
