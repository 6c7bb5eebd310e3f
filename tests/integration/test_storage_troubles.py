"""What goes wrong with a store, or a file elsewhere: waited for, or refused in one sentence."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from secateur_api.conditions import Reason
from secateur_jobs.runtime import files as module
from secateur_jobs.runtime.errors import Absent, InvalidInput, MissingData, Retryable
from secateur_jobs.runtime.files import Files, read_named
from secateur_jobs.runtime.store import Store
from tests.cluster_kit.s3 import NoS3
from tests.commits import commit_once
from tests.s3_server import S3Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("s3") / "data")
    try:
        found.start()
    except NoS3 as missing:
        pytest.skip(str(missing))
    yield found
    found.stop()


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_unit_on_s3_is_committed_once(s3: S3Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: commit_once(Store(s3.uri), "pretrain-1", bytes([n])), range(4)))
    assert found == [Store(s3.uri).look("pretrain-1").result] * 4


def test_a_server_that_comes_back_was_waited_for(
    s3: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # its client waits as well
    store = Store(s3.uri)
    store.write("units/x/file", b"content")
    s3.stop()
    back = threading.Timer(4.0, s3.start)
    back.start()
    assert store.read("units/x/file") == b"content"
    back.join()
    assert "trying again" in capsys.readouterr().err


def test_a_server_that_stays_away_is_a_passing_fault(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Retryable) as caught:
        Store(s3.uri).read("units/x/file")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert f"{s3.uri}/units/x/file" in caught.value.message


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-one"}, "AWS_ACCESS_KEY_ID|access is denied"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "credentials are not accepted"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no credentials"),
    ],
)
def test_credentials_that_do_not_do_are_refused(
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str | None],
    words: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    for act in (
        lambda store: store.read("units/x/file"),
        lambda store: store.write("units/x/file", b""),
        lambda store: store.look("x"),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            act(Store(s3.uri))
        assert caught.value.reason is Reason.STORE_REFUSED
        assert s3.uri in caught.value.message
        assert "wrong-one" not in caught.value.message


def test_a_bucket_that_is_not_there(s3: S3Server) -> None:
    store = Store("s3://no-such-bucket/store")
    for act in (lambda: store.look("x"), lambda: store.write("units/x/file", b""), lambda: store.find("a")):
        with pytest.raises(MissingData, match="no such bucket") as caught:
            act()
        assert not isinstance(caught.value, Absent)
        assert caught.value.reason is Reason.STORE_REFUSED


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names; ``once`` in it: only the first time."""

    seen: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        once = "once" in self.path and self.path in self.seen
        self.seen.add(self.path)
        status = 200 if once else int(self.path.split("/")[1])
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, InvalidInput, "there are no credentials"),
        (403, InvalidInput, "access is denied"),
        (404, MissingData, "there is no file"),
        (410, InvalidInput, "refused"),
        (429, Retryable, "too busy"),
        (500, Retryable, "too busy"),
        (503, Retryable, "too busy"),
    ],
)
def test_what_a_web_server_answers(
    web: str, status: int, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    uri = f"http://jane:hush@{web}/{status}/net.npz?token=hush"
    with pytest.raises(kind, match=words) as caught:
        read_named(uri, None, "spec.model.weights", Reason.WEIGHTS_MISSING, Reason.WEIGHTS_INVALID)
    said = str(caught.value)
    assert said.startswith("spec.model.weights.uri: ")
    assert f"***@{web}/{status}/net.npz?token=***" in said
    assert "hush" not in said
    assert "jane" not in said


def test_a_busy_web_server_is_asked_again(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    assert Files(f"http://{web}/503/once").read() == b"ok"
