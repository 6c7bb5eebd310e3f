"""A factory's network that keeps widths as numbers is cut as its graph, under the names of its modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secateur
from secateur_api.conditions import Reason
from secateur_api.inspection import InspectionRequest
from secateur_api.results import GroupTable, RoundPlan
from secateur_api.spec import CutAs, Engine, InputSpec, Model
from secateur_api.stage import ExitCode, Stage
from secateur_jobs import checkpoint
from secateur_jobs.forms import Chosen, Wish, choose
from secateur_jobs.graph.files import TOLERANCE, NotRebuilt
from secateur_jobs.graph.of_module import ModuleGraph, graph_of
from secateur_jobs.inspection import inspected
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import count
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.forward import read
from tests.jobs.rebuilding import rebuilt
from tests.jobs.test_graph import IMAGE, Attention, Branching, Mobile
from tests.jobs.test_pruning_stages import Home, spec_of

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional


class Counted(nn.Layer):
    """Keeps the width that it flattens to as a number."""

    def __init__(self, channels: int = 3, size: int = 3) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2D(channels, 8, size, padding=1), nn.Conv2D(8, 12, 3, stride=2)
        self.norm, self.drop, self.fc = nn.BatchNorm2D(12), nn.Dropout(0.2), nn.Linear(12, 10)
        self.width = 12

    def features(self, x: Any) -> Any:
        return F.relu(self.norm(self.two(F.relu(self.one(x)))))

    def forward(self, x: Any) -> Any:
        return self.fc(self.drop(self.features(x).mean([2, 3]).reshape([-1, self.width])))


class Named(Counted):
    """Answers with a dict, of tensors inside each other."""

    def forward(self, x: Any) -> Any:
        maps = self.features(x)
        return {"scores": self.fc(maps.mean([2, 3])), "more": [maps, (maps * 2, None)]}


class Odd(Counted):
    """Holds a frozen parameter, one of its own, a buffer, and a tensor that is neither."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.create_parameter([12], default_initializer=nn.initializer.Constant(0.5))
        self.register_buffer("shift", paddle.full([12], 0.25))
        self.other = paddle.linspace(1, 2, 12)
        self.two.weight.stop_gradient = True
        self.two.weight.optimize_attr["learning_rate"] = 0.1
        self.norm._use_global_stats = True

    def forward(self, x: Any) -> Any:
        x = self.features(x).mean([2, 3]).reshape([-1, self.width])
        return self.fc(x * self.scale * self.other + self.shift)


class Guided(Counted):
    """Returns something else in training."""

    def forward(self, x: Any) -> Any:
        scores = super().forward(x)
        return (scores, scores * 2) if self.training else scores


class Sorted(Counted):
    """Has an operator that no graph knows."""

    def forward(self, x: Any) -> Any:
        return paddle.sort(super().forward(x), axis=1)


class Tied(nn.Layer):
    """Uses one weight as an embedding and as a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)

    def forward(self, ids: Any) -> Any:
        return paddle.matmul(self.words(ids), self.words.weight, transpose_y=True)


class Frozen(Counted):
    """Fixes the batch."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) + paddle.zeros([1, 10]).expand([x.shape[0], 10]).reshape([2, 10])


def built(kind: type[nn.Layer]) -> nn.Layer:
    paddle.seed(3)
    with paddle.utils.unique_name.guard():
        net = kind()
    net.eval()
    return net


def answers(net: nn.Layer, batch: int = 3) -> dict[str, np.ndarray]:
    x = np.random.default_rng(5).standard_normal([batch, 3, 16, 16]).astype("float32")
    net.eval()
    with paddle.no_grad():
        return read(net(paddle.to_tensor(x))).arrays().tensors


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.abs(array - other[name]).max() <= TOLERANCE * np.abs(array).max()


def chosen(net: nn.Layer, cut_as: CutAs = CutAs.AUTO, **changes: Any) -> Chosen:
    example = [np.zeros([1, 3, 16, 16], "float32")]
    check = changes.pop("check", lambda graph: None)
    return choose(net, Wish(cut_as, Engine.AUTO, IMAGE, None), example, check)


@pytest.mark.parametrize("kind", [Counted, Named, Odd, Attention, Mobile])
def test_a_graph_answers_as_its_network_and_has_its_names(kind: type[nn.Layer]) -> None:
    net = built(kind)
    graph = graph_of(net, IMAGE)
    assert_equal(answers(net), answers(graph))
    own, its = ({n: t.numpy() for n, t in one.state_dict().items()} for one in (net, graph))
    assert its.keys() - own.keys() <= {"free_axes", "other"}
    assert own.keys() <= its.keys()
    assert all(np.array_equal(own[name], its[name]) for name in own)
    one, other = count(net, IMAGE), count(graph, IMAGE)
    assert (one.macs, one.params, one.layers) == (other.macs, other.params, other.layers)


def test_what_a_network_does_not_train_its_graph_does_not_either() -> None:
    graph = graph_of(built(Odd), IMAGE)
    trained = {name for name, parameter in graph.named_parameters() if not parameter.stop_gradient}
    assert trained == {
        *("one.weight", "one.bias", "two.bias", "norm.weight", "norm.bias", "fc.weight", "fc.bias", "scale")
    }
    assert {"shift", "other"} <= {name for name, _ in graph.named_buffers()}
    assert graph.two.weight.optimize_attr["learning_rate"] == 0.1
    assert graph.norm._use_global_stats
    assert graph_of(built(Counted), IMAGE).norm._use_global_stats is None


def test_dropout_stays_and_the_generators_are_left_alone() -> None:
    net = built(Counted)
    paddle.seed(1)
    graph = graph_of(net, IMAGE)
    drawn = paddle.rand([4]).numpy()
    paddle.seed(1)
    assert np.array_equal(drawn, paddle.rand([4]).numpy())
    assert [layer.p for layer in graph.sublayers() if isinstance(layer, nn.Dropout)] == [pytest.approx(0.2)]
    graph.train()
    x = paddle.ones([2, 3, 16, 16])
    assert not np.array_equal(graph(x).numpy(), graph(x).numpy())


@pytest.mark.parametrize(
    ("kind", "inputs", "said"),
    [
        (Sorted, IMAGE, "operator argsort"),
        (Branching, IMAGE, r"a branch or a loop|operator .*if"),
        (Tied, [InputSpec(name="ids", shape=[1, 6], dtype="int64")], "words is used in two ways"),
        (Frozen, IMAGE, r"its graph does not run|Paddle cannot export|forward raised"),
    ],
)
def test_a_network_without_a_graph_says_why(kind: type[nn.Layer], inputs: list[InputSpec], said: str) -> None:
    with pytest.raises(NotRebuilt, match=said):
        graph_of(built(kind), inputs)


def test_the_form_that_more_layers_can_be_cut_in_is_taken_and_said() -> None:
    found = chosen(built(Counted))
    assert found.cut_as is CutAs.GRAPH
    assert [refused.layer for refused in found.found.refused] == ["fc"]
    assert found.notes == [
        "the graph of the network is cut in place of its modules: 2 of 3 layers can be cut, 1 of 3 as "
        "modules; what forward does in training alone is not in it"
    ]
    plain = chosen(nn.Sequential(nn.Conv2D(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 2)))
    assert (plain.cut_as, plain.notes) == (CutAs.MODULE, [])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Guided, "forward returns something else in training than at inference"),
        (Sorted, "operator argsort"),
    ],
)
def test_modules_are_cut_where_the_graph_is_not_the_network(kind: type[nn.Layer], why: str) -> None:
    found = chosen(built(kind))
    assert found.cut_as is CutAs.MODULE
    (note,) = found.notes
    assert note.startswith(
        "the modules of the network are cut: 1 of 3 layers can be; its graph cannot be used: "
    )
    assert why in note


def test_a_graph_that_fails_its_check_is_not_taken() -> None:
    def check(graph: ModuleGraph) -> None:
        raise InvalidInput(Reason.FACTORY_FAILED, "it does not train" + " at all" * 100)

    found = chosen(built(Counted), check=check)
    assert found.cut_as is CutAs.MODULE
    assert "its graph cannot be used: it does not train" in found.notes[0]
    assert len(found.notes[0]) < 400
    with pytest.raises(InvalidInput, match="it does not train"):
        chosen(built(Counted), CutAs.GRAPH, check=check)


def test_the_form_that_is_asked_for_is_taken() -> None:
    module = chosen(built(Counted), CutAs.MODULE)
    assert (module.cut_as, module.found.cut, module.notes) == (CutAs.MODULE, 1, [])
    assert chosen(built(Guided), CutAs.GRAPH).found.cut == 2
    with pytest.raises(InvalidInput, match=r"^spec\.model\.cutAs: graph: there is none: operator argsort"):
        chosen(built(Sorted), CutAs.GRAPH)


def test_a_checkpoint_of_a_graph_is_read_into_the_network(tmp_path: Path) -> None:
    model = Model(factory=f"{__name__}:Counted", trained=True, inputs=IMAGE)
    engine = chosen(built(Counted)).found.engine
    engine.cut({group.name: np.arange(group.channels) % 2 == 0 for group in engine.groups})
    engine.freeze()
    content = checkpoint.to_bytes(engine.net, model)
    assert_equal(answers(engine.net), answers(checkpoint.from_bytes(content, model)))
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(content)
    for given in (Counted, Counted(), secateur.graph(Counted(), [("image", (1, 3, 16, 16))])):
        small = secateur.load(file, model=given)
        assert small.fc.weight.shape == [6, 10]
        assert_equal(answers(engine.net), answers(small))
    with pytest.raises(MissingData, match="it is of a network's graph, and this network has none: operator"):
        checkpoint.load(file, model=Sorted)
    file.write_bytes(checkpoint.to_bytes(built(Counted), model))
    with pytest.raises(MissingData, match="it is of a network, not of its graph; give the network itself"):
        checkpoint.load(file, model=graph_of(built(Counted), IMAGE))


def test_a_graph_is_a_network_for_the_library() -> None:
    inputs = [("image", (1, 3, 16, 16))]
    net = built(Counted)
    assert "two" in secateur.inspect(net, inputs).refused
    graph = secateur.graph(net, inputs)
    assert list(secateur.inspect(graph, inputs).refused) == ["fc"]
    random = np.random.default_rng(0)
    data = (random.standard_normal((16, 3, 16, 16)).astype("float32"), random.integers(0, 10, 16))
    small, account = secateur.prune(graph, inputs, data=data, layers={"two": 0.5}, align=1)
    assert account.widths["two"] == (12, 6)
    assert small.two.weight.shape == [6, 8, 3, 3]
    assert graph.two.weight.shape == [12, 8, 3, 3]
    with pytest.raises(ValueError, match="operator argsort"):
        secateur.graph(built(Sorted), inputs)


def test_inspection_says_which_form_can_be_cut() -> None:
    request = {"factory": f"{__name__}:Counted", "inputs": [one.to_wire() for one in IMAGE]}
    found = inspected(InspectionRequest.model_validate(request))
    assert [group.name for group in found.groups] == ["one", "two"]
    assert found.notes[0].startswith("the graph of the network is cut")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path, monkeypatch)


def _spec(**changes: Any) -> dict[str, Any]:
    """Return a job with a network that keeps a width as a number; its second convolution shall be halved."""
    spec = spec_of(pruning={"layers": [{"match": "two", "ratio": 0.5}], "align": 1})
    spec["model"] = {
        **spec["model"],
        "factory": f"{__name__}:Counted",
        "args": {"channels": 1},
        **changes,
    }
    return spec


def test_a_job_cuts_the_graph_of_what_it_trained(home: Home) -> None:
    pretrain = home.unit(Stage.PRETRAIN, _spec())
    done = home.done(Stage.PREFLIGHT, _spec(), upstream={"pretrain": pretrain})
    outcome, unit = done.outcome.preflight, done.unit
    assert (outcome.cut_as, outcome.layers, outcome.refused) == (CutAs.GRAPH, 3, 1)
    assert any("the graph of the network is cut in place of its modules" in note for note in outcome.notes)
    assert [group.name for group in home.store.unit_json(unit, "groups", GroupTable).groups] == ["one", "two"]
    upstream = {"preflight": unit}
    cut = home.done(Stage.ROUND, _spec(), upstream=upstream, round={"number": 1, "share": 1})
    widths = home.store.unit_json(cut.unit, "plan", RoundPlan).widths
    assert [(one.layer, one.after) for one in widths] == [("one", 8), ("two", 6), ("fc", 10)]
    assert cut.outcome.round.cut_params > 0.3
    assert rebuilt(home.store.unit_file(cut.unit, "checkpoint")).two.weight.shape[0] == 6
    converted = home.done(Stage.CONVERT, _spec(), upstream={**upstream, "model": cut.unit})
    assert converted.outcome.convert.artifacts

    same = home.done(Stage.PRETRAIN, _spec(cutAs="module"))
    assert (same.unit, same.reused) == (pretrain, True)
    module = home.done(Stage.PREFLIGHT, _spec(cutAs="module"), upstream={"pretrain": pretrain})
    assert module.unit != unit
    assert module.outcome.preflight.cut_as is CutAs.MODULE
    assert module.outcome.preflight.refused == 2


def test_what_kept_the_graph_out_is_said_where_the_target_cannot_be_reached(home: Home) -> None:
    spec = _spec(factory=f"{__name__}:Sorted") | {"pruning": {"target": {"macs": "70%"}}}
    pretrain = home.unit(Stage.PRETRAIN, spec)
    code, summary = home.run(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})
    assert code == ExitCode.UNREACHABLE
    assert "its graph cannot be used: operator argsort" in summary.message


def test_a_graph_that_is_asked_for_and_not_there_is_refused(home: Home) -> None:
    spec = _spec(cutAs="graph", factory=f"{__name__}:Sorted")
    code, summary = home.run(Stage.PRETRAIN, spec)  # before the training, not after it
    assert code == ExitCode.INVALID_INPUT
    assert summary.message.startswith("spec.model.cutAs: graph: there is none: operator argsort")
