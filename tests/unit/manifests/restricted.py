"""Pod Security, level restricted, as far as Secateur's own pods go; the real one is asked in tests/api."""

from __future__ import annotations

from typing import Any

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def offences(spec: dict[str, Any]) -> list[str]:
    """Name what a namespace that enforces ``restricted`` would refuse."""
    pod = spec["securityContext"]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0:
        found.append("may run as root")
    if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("no seccomp profile")
    for volume in spec["volumes"]:
        found += [f"volume {kind}" for kind in volume if kind != "name" and kind not in VOLUMES]
    for container in spec["containers"]:
        own = container["securityContext"]
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.append("may gain privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append("has capabilities")
        found += [f"port {port}" for port in container.get("ports", []) if "hostPort" in port]
    return found
