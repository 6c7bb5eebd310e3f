"""Puts an operator together from its settings."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from secateur_operator.cluster.leadership import Leadership, Place, Sole
from secateur_operator.cluster.metrics.jobs import JobMetrics
from secateur_operator.cluster.metrics.operator import OperatorMetrics, StageMetrics
from secateur_operator.cluster.operator import Operator, Parts
from secateur_operator.cluster.settings import Settings, instance_name
from secateur_operator.cluster.territory import Territory, lease_name
from secateur_operator.cluster.watches import Watches
from secateur_operator.domain.observed import Defaults
from secateur_operator.engine.loop import work_queue
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.gateway import KubeGateway
from secateur_operator.gateway.kube.lease import Leases
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest


async def operator(
    settings: Settings, registry: CollectorRegistry, take_signals: Callable[[], None]
) -> tuple[Operator, KubeClient]:
    """Connect, and return the operator and the client that must be closed after it.

    Raises kubernetes.aio.config.ConfigException if nothing says where the API server is.
    """
    metrics, stages, jobs = OperatorMetrics(registry), StageMetrics(registry), JobMetrics()
    registry.register(jobs)
    client = await KubeClient.connect(metrics.requested)
    place = _place(settings, client)
    selector = ",".join(f"{key}={value}" for key, value in settings.selector)
    territory = Territory(
        lambda n: Leases(client, n, lease_name(selector)),
        settings.release,
        unselected=(lambda n: Leases(client, n, lease_name(""))) if selector else None,
    )
    gateway = KubeGateway(
        client,
        Defaults(settings.store, settings.image),
        partial(job_manifest, defaults=pod_defaults(settings)),
        namespaces=settings.namespaces,
        fence=place.may_write,
        instance=instance_name(),
        listed=jobs.listed,
        selector=dict(settings.selector),
        max_running=settings.max_running,
        hold=territory.hold,
    )
    watches = Watches(
        client.configuration,
        (gateway, jobs),
        settings.namespaces,
        metrics.requested,
        partial(_listed, gateway),
        take_signals,
        selector,
    )
    queue = work_queue(observer=metrics)
    metrics.watch_queue(queue.backlog)
    metrics.watch_leadership(place.may_write)
    parts = Parts(
        client=client,
        gateway=gateway,
        place=place,
        territory=territory,
        watches=watches,
        queue=queue,
        metrics=metrics,
        watcher=stages.seen,
        namespaces=settings.namespaces,
        workers=settings.workers,
    )
    return Operator(parts), client


def _listed(gateway: KubeGateway, resource: str) -> None:
    if resource == "jobs":
        gateway.jobs_listed()
    elif resource == "pods":
        gateway.pods_listed()


def pod_defaults(settings: Settings) -> PodDefaults:
    """Return what the settings give every Job."""
    policy = settings.image_pull_policy
    return PodDefaults(
        ttl_seconds=settings.job_ttl_seconds,
        image_pull_policy=policy.value if policy else None,
        image_pull_secrets=settings.image_pull_secrets,
    )


def _place(settings: Settings, client: KubeClient) -> Place:
    if not settings.leader_elect:
        return Sole()
    leases = Leases(client, settings.where_lease_is, settings.lease_name)
    return Leadership(leases, f"{instance_name()}_{uuid.uuid4().hex[:8]}")
