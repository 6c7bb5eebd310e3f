"""What the client asks of the API server, and what it makes of the answers."""

from __future__ import annotations

import asyncio

import pytest
from kubernetes.aio.client import Configuration

from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.names import JOBS, LEASES, PODS, PRUNING_JOBS
from secateur_operator.gateway.protocol import Conflict, NotFound, Transient
from tests.unit.kube.api import Api, Asked

MISSING = {"kind": "Status", "reason": "NotFound", "message": 'jobs "a" not found'}


def test_a_listing_is_read_page_by_page() -> None:
    def answer(asked: Asked) -> tuple[int, object]:
        start = int(asked.query.get("continue", "0"))
        more = str(start + 2) if start + 2 < 5 else ""
        items = [{"n": n} for n in range(start, min(5, start + 2))]
        return 200, {"metadata": {"continue": more}, "items": items}

    async def scenario() -> None:
        api = Api(answer)
        async with api.client() as client:
            found = [one["n"] async for one in client.items(JOBS, None, labels="a=b,c")]
        assert found == [0, 1, 2, 3, 4]
        assert [one.path for one in api.asked] == ["/apis/batch/v1/jobs"] * 3
        assert all(one.query["labelSelector"] == "a=b,c" and one.query["limit"] == "500" for one in api.asked)
        assert api.observed == [("list", "jobs", "200")] * 3

    asyncio.run(scenario())


def test_a_status_is_applied_on_the_servers_side() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (200, {"done": True}))
        async with api.client() as client:
            answer = await client.apply_status(PRUNING_JOBS, "team", "digits", {"status": {}}, "secateur")
        (asked,) = api.asked
        assert answer == {"done": True}
        assert asked == Asked(
            "PATCH",
            "/apis/secateur.dev/v1alpha1/namespaces/team/pruningjobs/digits/status",
            {"fieldManager": "secateur", "force": "true"},
            "application/apply-patch+yaml",
            {"status": {}},
        )
        assert api.observed == [("patch", "pruningjobs/status", "200")]

    asyncio.run(scenario())


def test_a_delete_names_the_uid_and_takes_the_pods_along() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (409, {"reason": "Conflict", "message": "the UID in the precondition"}))
        async with api.client() as client:
            with pytest.raises(Conflict, match="cannot delete jobs a in namespace team"):
                await client.delete(JOBS, "team", "a", "u-1")
        body = api.asked[0].body
        assert (body["preconditions"], body["propagationPolicy"]) == ({"uid": "u-1"}, "Background")

    asyncio.run(scenario())


def test_a_name_cannot_lead_out_of_its_collection() -> None:
    assert PODS.path("a/b", "../x", "log") == "/api/v1/namespaces/a%2Fb/pods/..%2Fx/log"


def test_what_is_not_there_is_not_found_and_counted() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (404, MISSING))
        async with api.client() as client:
            with pytest.raises(NotFound, match='jobs "a" not found'):
                await client.get(JOBS, "team", "a")
        assert api.observed == [("get", "jobs", "404")]

    asyncio.run(scenario())


def test_nothing_is_retried_here() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (503, "try later"))
        async with api.client() as client:
            with pytest.raises(Transient, match="try later"):
                await client.get(JOBS, "team", "a")
        assert len(api.asked) == 1

    asyncio.run(scenario())


def test_an_api_server_that_does_not_answer_or_is_not_there_is_transient() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (0, ""))
        async with api.client() as client:
            with pytest.raises(Transient, match="no answer in time"):
                await client.get(LEASES, "team", "a", timeout=0.05)
        assert api.observed == [("get", "leases", "error")]
        nobody = KubeClient(Configuration(host="http://127.0.0.1:1"))
        with pytest.raises(Transient, match="cannot get leases a in namespace team"):
            await nobody.get(LEASES, "team", "a")
        await nobody.close()

    asyncio.run(scenario())


def test_an_answer_cut_short_is_transient() -> None:
    async def scenario() -> None:
        api = Api(lambda asked: (200, '{"metadata": {'))
        async with api.client() as client:
            with pytest.raises(Transient, match="cannot get jobs a"):
                await client.get(JOBS, "team", "a")

    asyncio.run(scenario())
