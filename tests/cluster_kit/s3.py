"""An S3 server that the cluster's pods reach: versitygw on a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster_kit.waiting import wait_until

ADDRESS_VARIABLE = "SECATEUR_E2E_S3_ADDRESS"
"""An address of this machine that pods reach, ``HOST:PORT``; for clusters other than the test cluster."""
_NETWORK = Path("/run/netns/testcluster")
_NODE = "10.200.0.2"
_PORT = 7171
SECRET = "s3"


class NoS3(Exception):
    """It cannot be had; the message says what is missing."""


@dataclass(frozen=True)
class S3:
    """A running server with one bucket."""

    endpoint: str
    folder: Path
    """The bucket's contents."""
    access: str = "secateur-e2e"
    secret: str = "not-a-secret"
    bucket: str = "models"

    def credentials(self, namespace: str) -> dict[str, Any]:
        """Return the Secret that ``spec.store.secret`` names."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "stringData": {
                "AWS_ACCESS_KEY_ID": self.access,
                "AWS_SECRET_ACCESS_KEY": self.secret,
                "AWS_ENDPOINT_URL": self.endpoint,
            },
        }

    def store(self, prefix: str) -> dict[str, Any]:
        """Return ``spec.store`` for a prefix of the bucket."""
        return {"uri": f"s3://{self.bucket}/{prefix}", "secret": SECRET}

    def read(self, uri: str) -> bytes:
        """Read a file by its ``s3://`` URI, as any S3 client does."""
        import s3fs

        fs = s3fs.S3FileSystem(key=self.access, secret=self.secret, endpoint_url=self.endpoint)
        content: bytes = fs.cat_file(uri)
        return content


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Run one on a folder; raises NoS3."""
    program = shutil.which("versitygw")
    if program is None:
        raise NoS3("needs versitygw on PATH")
    address, inside = _address()
    s3 = S3(f"http://{address}", folder)
    (folder / s3.bucket).mkdir(parents=True)
    command = [*inside, program, "--access", s3.access, "--secret", s3.secret, "--port", address]
    with (folder.parent / "s3.log").open("ab") as sink:
        child = subprocess.Popen([*command, "posix", str(folder)], stdout=sink, stderr=subprocess.STDOUT)
    try:
        host, _, port = address.partition(":")
        wait_until("the S3 server answers", lambda: answers(host, int(port)), 20, child.poll)
        yield s3
    finally:
        child.terminate()
        child.wait()


def _address() -> tuple[str, list[str]]:
    """Return where it listens, and the command that takes it there."""
    named = os.environ.get(ADDRESS_VARIABLE)
    if named:
        return named, []
    if not _NETWORK.exists() or os.geteuid() != 0:
        raise NoS3(f"needs root and the test cluster's network, or {ADDRESS_VARIABLE}=HOST:PORT")
    return f"{_NODE}:{_PORT}", ["nsenter", f"--net={_NETWORK}", "--"]


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False
