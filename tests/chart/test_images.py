"""The images: what is in them, and that they run as a restricted pod with a read-only root."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster_kit.cluster import IMAGE, Cluster
from tests.cluster_kit.site import PREFIX, RESTRICTED
from tests.cluster_kit.waiting import wait_until

pytestmark = pytest.mark.cluster

OPERATOR = os.environ.get("SECATEUR_E2E_OPERATOR_IMAGE", "localhost/secateur-operator:dev")
PACKAGES = "/usr/share/secateur/python-packages.json"
_WRITABLE = """
import os
def writable(folder):
    try:
        open(os.path.join(folder, "probe"), "w").close()
    except OSError:
        return False
    return True
print(os.getuid(), [one for one in ("/", "/usr", "/opt", "/etc", "/tmp") if writable(one)])
"""


class Room:
    """A namespace for pods of one command."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def run(self, image: str, *command: str) -> tuple[str, str]:
        """Run a command in a restricted pod; return the phase in which it ended, and its log."""
        name = f"probe-{secrets.token_hex(3)}"
        self._cluster.apply(_pod(name, self._namespace, image, command))

        def ended() -> str | None:
            found = self._cluster.get("pod", name, self._namespace)
            phase: str = found["status"]["phase"] if found else "gone"
            return phase if phase in ("Succeeded", "Failed") else None

        phase = wait_until(f"{name} ends", ended, 60, lambda: self._cluster.get("pod", name, self._namespace))
        return phase, self._cluster.kubectl("logs", "-n", self._namespace, name, "--ignore-errors=true")


@pytest.fixture(scope="module")
def room(cluster: Cluster) -> Iterator[Room]:
    """Where the pods run."""
    name = f"{PREFIX}images-{secrets.token_hex(3)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    wait_until(
        "pods may be made",
        lambda: cluster.get("serviceaccount", "default", name),
        30,
        lambda: "no default service account",
    )
    yield Room(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("image", [OPERATOR, IMAGE], ids=["operator", "jobs"])
def test_nothing_but_tmp_is_written_by_nobody_special(room: Room, image: str) -> None:
    assert room.run(image, "python3", "-c", _WRITABLE) == ("Succeeded", "65532 ['/tmp']\n")


def test_the_operators_image_has_no_shell_and_no_pip(room: Room) -> None:
    assert room.run(OPERATOR, "/bin/sh", "-c", "true")[0] == "Failed"
    phase, said = room.run(OPERATOR, "python3", "-m", "pip", "--version")
    assert (phase, "No module named pip" in said) == ("Failed", True)


def test_the_operators_image_runs_the_command_line(room: Room) -> None:
    phase, said = room.run(OPERATOR, "secateur", "crd")
    assert (phase, "name: pruningjobs.secateur.dev" in said) == ("Succeeded", True)


@pytest.mark.parametrize(
    ("image", "some"),
    [
        (OPERATOR, {"secateur", "kopf", "kubernetes"}),
        (IMAGE, {"secateur", "paddlepaddle", "paddleslim", "s3fs"}),
    ],
    ids=["operator", "jobs"],
)
def test_the_image_lists_its_packages(room: Room, image: str, some: set[str]) -> None:
    phase, said = room.run(image, "python3", "-c", f"print(open({PACKAGES!r}).read())")
    found = {one["metadata"]["name"]: one["metadata"]["version"] for one in json.loads(said)["installed"]}
    assert phase == "Succeeded"
    assert some <= set(found)
    assert ("paddlepaddle" in found) == (image == IMAGE)


def test_the_jobs_image_holds_paddle_lite(room: Room) -> None:
    code = "import secateur_jobs.conversion.toolchain as t; print(sorted(t.versions(t.lite_python())))"
    assert room.run(IMAGE, "python3", "-c", code) == ("Succeeded", "['numpy', 'paddlelite', 'python']\n")


def _pod(name: str, namespace: str, image: str, command: tuple[str, ...]) -> dict[str, Any]:
    container = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            # the user is the image's own
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
