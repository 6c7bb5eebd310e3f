"""``spec.template`` over a stage's pod.

Who may create PruningJobs may shape their pods; what such pods may do on the cluster is for the namespace's
Pod Security level to say. Only what is held (see ``held``) stays as it is.
"""

from __future__ import annotations

from secateur_api.spec import PodTemplate
from secateur_operator.gateway.kube.manifests.held import HELD
from secateur_operator.gateway.kube.manifests.merge import Map, merged
from secateur_operator.gateway.protocol import Refused

PATH = "spec.template"
_METADATA = ("labels", "annotations")


def with_template(pod: Map, template: PodTemplate | None) -> Map:
    """Return the pod template with the user's merged over it.

    Raises Refused where it cannot be merged, or changes what must stay.
    """
    if template is None:
        return pod
    foreign = next((name for name in template.metadata if name not in (*_METADATA, "$patch")), None)
    if foreign is not None:
        raise Refused(f"{PATH}.metadata.{foreign}: only {' and '.join(_METADATA)} can be set on a pod")
    result = {
        "metadata": merged(pod["metadata"], template.metadata, f"{PATH}.metadata"),
        "spec": merged(pod["spec"], template.spec, f"{PATH}.spec"),
    }
    for held in HELD:
        if held.read(pod) != held.read(result):
            raise Refused(f"{PATH}.{held.path}: {held.remedy}")
    return result
