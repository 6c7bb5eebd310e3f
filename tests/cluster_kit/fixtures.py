"""pytest fixtures of tests on a real cluster; a conftest imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster_kit.cluster import Cluster, NoCluster, connect
from tests.cluster_kit.parts import NoParts, Parts, parts
from tests.cluster_kit.s3 import S3, NoS3, s3_server
from tests.cluster_kit.site import Site

OpenSite = Callable[..., Site]
_OPEN: list[Site] = []


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that tests may write to; without one, tests are skipped and say what is missing."""
    try:
        return connect()
    except NoCluster as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server that pods reach."""
    try:
        with s3_server(tmp_path_factory.mktemp("s3") / "data") as server:
            yield server
    except NoS3 as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def cluster_parts(cluster: Cluster) -> Iterator[Parts]:
    """The cluster's own processes; whatever a test did to them, they run at the end."""
    try:
        found = parts(cluster.kubeconfig)
    except NoParts as missing:
        pytest.skip(str(missing))
    yield found
    found.up()


@pytest.fixture(scope="module")
def open_site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSite]:
    """Make sites; they are closed at the module's end."""
    mine: list[Site] = []

    def open_one(what: str, *, with_store: bool = True) -> Site:
        site = Site(cluster, tmp_path_factory.mktemp(what), what, with_store)
        mine.append(site)
        _OPEN.append(site)
        return site

    yield open_one
    for site in mine:
        _OPEN.remove(site)
        site.close()


@pytest.fixture(autouse=True)
def logs_are_clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no operator's log holds an error, but what ``@pytest.mark.may_log(words)`` names."""
    before = {line for site in _OPEN for line in site.unexpected()}
    yield
    allowed = [word for mark in request.node.iter_markers("may_log") for word in mark.args]
    found = [line for site in _OPEN for line in site.unexpected() if line not in before]
    found = [line for line in found if not any(word in line for word in allowed)]
    assert not found, "an operator's log holds:\n" + "\n".join(found)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failure what the cluster shows."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        report.sections += [(f"namespace {site.namespace}", site.describe()) for site in _OPEN]
