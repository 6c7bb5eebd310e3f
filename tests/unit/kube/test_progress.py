"""Progress from logs: the newest line of each pod, each PruningJob in its turn, few reads in all."""

from __future__ import annotations

import asyncio
from collections import Counter

from secateur_operator.gateway.kube.children import (
    EVERY_SECONDS,
    READS_PER_TURN,
    ProgressReader,
    last_line,
    newest_progress,
)
from secateur_operator.gateway.kube.hints import RunningPods
from secateur_operator.gateway.protocol import Key
from tests.unit.kube.api import Api, Asked


def running(name: str, *pods: str) -> RunningPods:
    return RunningPods(Key("team", name), f"{name}-job", pods or (f"{name}-pod",))


class Follow:
    """A reader with a clock that is set, over an API that answers with logs."""

    def __init__(self, *pods: RunningPods) -> None:
        self.now = 100.0
        self.pods = list(pods)
        self.logs: dict[str, str] = {}
        self.news: list[Key] = []
        self.api = Api(self.answer)

    def answer(self, asked: Asked) -> tuple[int, object]:
        text = self.logs.get(asked.path.split("/")[-2])
        return (200, text) if text is not None else (500, {"message": "no kubelet"})

    def play(self, *steps: float) -> ProgressReader:
        """Take a turn after each number of seconds; return the reader."""

        async def inside() -> ProgressReader:
            async with self.api.client() as client:
                reader = ProgressReader(client, lambda: self.pods, self.news.append, lambda: self.now)
                for seconds in steps:
                    self.now += seconds
                    await reader.turn()
            return reader

        return asyncio.run(inside())

    def reads(self) -> Counter[str]:
        return Counter(asked.path.split("/")[-2] for asked in self.api.asked)


def test_the_newest_line_of_a_log_counts() -> None:
    text = 'noise\nsecateur-progress: {"percent": 1}\nsecateur-progress: {"percent": 2}\nlast words\n\n'
    assert newest_progress(text) == '{"percent": 2}'
    assert newest_progress("noise") is None
    assert last_line(text) == "last words"
    assert last_line("secateur-progress: {}\n") is None


def test_a_new_line_is_news_once() -> None:
    follow = Follow(running("a"))
    follow.logs["a-pod"] = "secateur-progress: one"
    reader = follow.play(0, EVERY_SECONDS, EVERY_SECONDS)
    assert follow.news == [Key("team", "a")]
    assert reader.lines("team", "a-job") == {"a-pod": "one"}
    assert reader.lines("team", "another") == {}


def test_a_pod_is_read_no_more_often_than_allowed() -> None:
    follow = Follow(running("a"))
    follow.logs["a-pod"] = ""
    follow.play(0, 1, 1, 1, 1)
    assert follow.reads() == {"a-pod": 1}


def test_only_the_end_of_the_stages_log_is_read() -> None:
    follow = Follow(running("a"))
    follow.play(0)
    (asked,) = follow.api.asked
    assert asked.path == "/api/v1/namespaces/team/pods/a-pod/log"
    assert asked.query["container"] == "stage"
    assert int(asked.query["tailLines"]) <= 100
    assert int(asked.query["limitBytes"]) <= 2**16, "a line may have megabytes"


def test_many_pods_share_the_reads_fairly() -> None:
    follow = Follow(*(running(f"j{n}") for n in range(3 * READS_PER_TURN)))
    follow.logs = {f"j{n}-pod": "" for n in range(3 * READS_PER_TURN)}
    follow.play(0, 1)
    assert len(follow.api.asked) == 2 * READS_PER_TURN
    follow.api.asked.clear()
    follow.play(0, 1, 1)
    assert set(follow.reads().values()) == {1}
    assert len(follow.reads()) == 3 * READS_PER_TURN


def test_a_job_with_many_pods_is_read_in_parts() -> None:
    pods = [f"p{n}" for n in range(READS_PER_TURN + 3)]
    follow = Follow(running("a", *pods))
    follow.logs = dict.fromkeys(pods, "")
    follow.play(0)
    assert len(follow.api.asked) == READS_PER_TURN
    follow.api.asked.clear()
    follow.play(0, EVERY_SECONDS)
    assert set(follow.reads()) == set(pods)


def test_a_log_that_cannot_be_read_is_tried_again_later_and_spoils_nothing() -> None:
    follow = Follow(running("a"), running("b"))
    follow.logs["b-pod"] = "secateur-progress: one"
    follow.play(0, EVERY_SECONDS, EVERY_SECONDS)
    assert follow.news == [Key("team", "b")]
    assert follow.reads() == {"a-pod": 1, "b-pod": 3}


def test_what_runs_no_more_is_forgotten() -> None:
    follow = Follow(running("a"))
    follow.logs["a-pod"] = "secateur-progress: one"

    async def inside() -> None:
        async with follow.api.client() as client:
            reader = ProgressReader(client, lambda: follow.pods, follow.news.append, lambda: follow.now)
            await reader.turn()
            assert reader.lines("team", "a-job")
            follow.pods.clear()
            await reader.turn()
            assert reader.lines("team", "a-job") == {}

    asyncio.run(inside())
