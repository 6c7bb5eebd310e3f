"""A namespace vanishes with all that runs in it; the operator that serves it minds the others."""

from __future__ import annotations

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_namespace_deleted_while_a_job_runs(open_site: OpenSite) -> None:
    doomed, other = open_site("doomed"), open_site("other")
    operator = other.serve(also=(doomed.namespace,))
    doomed.apply(tiny())
    doomed.wait_stage("tiny", "pretrain")
    other.apply(tiny())
    doomed.cluster.kubectl("delete", "namespace", doomed.namespace, "--timeout=60s")
    other.wait_done("tiny", "preflight")
    assert operator.is_running()
    assert operator.is_ready()
    gone = f'namespace="{doomed.namespace}"'
    wait_until("its series are gone", lambda: gone not in operator.metrics(), 30, operator.tail)
    assert other.witness.twice("tiny") == []
