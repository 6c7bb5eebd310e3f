"""Run a control plane until interrupted: ``python -m tests.control_plane --controllers --folder DIR``."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from pathlib import Path

from tests.control_plane.plane import control_plane


def main() -> None:
    """Start, say where the kubeconfig is, wait for SIGINT or SIGTERM, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, default=os.environ.get("KUBEBUILDER_ASSETS"))
    parser.add_argument(
        "--folder", type=Path, help="where data and logs go; default: one that is removed at the end"
    )
    parser.add_argument(
        "--controllers", action="store_true", help="kube-controller-manager and kube-scheduler too"
    )
    options = parser.parse_args()
    if options.assets is None:
        parser.error("--assets or KUBEBUILDER_ASSETS must name the folder of etcd and kube-apiserver")
    stop = {signal.SIGINT, signal.SIGTERM}
    with tempfile.TemporaryDirectory(prefix="control-plane-") as temporary:
        folder = options.folder or Path(temporary)
        with control_plane(folder, Path(options.assets), options.controllers) as plane:
            print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
            signal.pthread_sigmask(signal.SIG_BLOCK, stop)
            signal.sigwait(stop)


if __name__ == "__main__":
    main()
