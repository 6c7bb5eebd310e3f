"""An S3 server on the loopback that can be stopped and started again: versitygw on a folder."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster_kit.s3 import S3, NoS3, answers
from tests.cluster_kit.waiting import wait_until
from tests.control_plane.processes import free_ports


@dataclass
class S3Server:
    """One bucket; its content outlives the process."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def s3(self) -> S3:
        return S3(f"http://127.0.0.1:{self.port}", self.folder)

    @property
    def uri(self) -> str:
        return f"s3://{self.s3.bucket}/store"

    @property
    def environment(self) -> dict[str, str]:
        """What a stage is given to reach it."""
        values: dict[str, str] = self.s3.credentials("none")["stringData"]
        return {**values, "AWS_EC2_METADATA_DISABLED": "true"}

    def start(self) -> None:
        """Start it; raises NoS3."""
        program = shutil.which("versitygw")
        if program is None:
            raise NoS3("needs versitygw on PATH")
        (self.folder / self.s3.bucket).mkdir(parents=True, exist_ok=True)
        command = [program, "--access", self.s3.access, "--secret", self.s3.secret]
        with (self.folder.parent / "s3.log").open("ab") as sink:
            self.process = subprocess.Popen(
                [*command, "--port", f"127.0.0.1:{self.port}", "posix", str(self.folder)],
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        wait_until("the S3 server answers", lambda: answers("127.0.0.1", self.port), 20, self.process.poll)

    def stop(self) -> None:
        """End it, as a machine ends."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
