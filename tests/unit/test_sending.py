"""Files of a store on standard output: each whole, and nothing else between them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from secateur_api.storekeeping import LENGTH_BYTES, LINE_PREFIX, REQUEST_VARIABLE, Answer, StoreRequest

FILES = {"units/a/net.onnx": os.urandom(600_000), "units/a/empty": b"", "units/b/report.html": b"<html>"}


def read(folder: Path, *paths: str) -> tuple[bytes, Answer]:
    """Return what the data plane's command sends, and how it ends."""
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    request = StoreRequest(action="read", store=folder.as_uri()).model_dump_json(by_alias=True)
    command = [sys.executable, "-m", "secateur_jobs", "store", ",".join(paths)]
    env = {**os.environ, REQUEST_VARIABLE: request}
    done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
    (line,) = done.stderr.decode().splitlines()
    return done.stdout, Answer.model_validate_json(line.removeprefix(LINE_PREFIX))


def files_in(sent: bytes) -> list[bytes]:
    """Return the files that are whole."""
    found, file = [], b""
    while sent:
        length = int.from_bytes(sent[:LENGTH_BYTES], "big")
        file, sent = file + sent[LENGTH_BYTES : LENGTH_BYTES + length], sent[LENGTH_BYTES + length :]
        if not length:
            found.append(file)
            file = b""
    return found


def test_every_file_is_sent_in_the_order_of_the_request(tmp_path: Path) -> None:
    sent, end = read(tmp_path, *FILES)
    assert files_in(sent) == list(FILES.values())
    assert end.done


def test_a_file_that_is_not_there_ends_it_with_its_name(tmp_path: Path) -> None:
    sent, end = read(tmp_path, "units/b/report.html", "units/a/gone", "units/a/net.onnx")
    assert files_in(sent) == [b"<html>"]
    assert (end.done, end.failed) == (
        False,
        f"file://{tmp_path}/units/a/gone: there is nothing at that address",
    )
