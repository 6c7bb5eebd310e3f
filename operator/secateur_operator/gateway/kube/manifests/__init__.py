"""Pure builders: from a stage's Job as the decision wants it to the manifest that the API server takes."""

from secateur_operator.gateway.kube.manifests.job import job_manifest
from secateur_operator.gateway.kube.manifests.pod import PodDefaults

__all__ = ["PodDefaults", "job_manifest"]
