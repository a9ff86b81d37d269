"""Every kind of state comes back bit for bit, from memory and from the disk."""

import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.memory.slots import read_whole
from supervisor.torch import Checkpointer, load
from tests.checkpointer.conftest import Training, assert_same, clone

Make = Callable[..., Checkpointer]
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
]  # fmt: skip


def of_every_dtype() -> dict[str, Any]:
    """Random bytes read as each dtype, with NaN; bool has only two values."""
    made: dict[str, Any] = {}
    for dtype in DTYPES:
        raw = torch.randint(0, 2 if dtype is torch.bool else 256, (48,), dtype=torch.uint8)
        made[str(dtype)] = raw.view(dtype)
    return made


def tied() -> dict[str, Any]:
    """Two names of one tensor, and views of it that overlap."""
    whole = torch.randn(6, 8)
    return {
        "one": whole,
        "two": whole,
        "row": whole[2],
        "part": whole[1:4, 2:5],
        "turned": whole.t(),
    }


def gaps() -> dict[str, Any]:
    """Tensors that are not contiguous: strided, expanded, transposed, channels-last."""
    return {
        "every other": torch.randn(20)[::2],
        "expanded": torch.randn(1, 5).expand(3, 5),
        "turned": torch.randn(4, 7).t(),
        "channels last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "behind an offset": torch.randn(10)[3:],
    }


def small() -> dict[str, Any]:
    """Empty tensors and single numbers."""
    return {
        "0-d": torch.tensor(2.5),
        "0-d int": torch.tensor(7),
        "empty": torch.empty(0),
        "empty in two": torch.empty(3, 0, dtype=torch.bfloat16),
        "one": torch.ones(1, 1, 1),
    }


def plain() -> dict[str, Any]:
    """Values that are no tensors: nested, ordered, of all lengths."""
    return {
        "numbers": [0, 255, 256, -1, 2**31, -(2**40), 2**200, 1e-300, float("inf"), True, None],
        "text": ("", "ä\n", "x" * 300),
        "ordered": OrderedDict([("b", 1), ("a", torch.arange(3))]),
        "keys": {1: "one", 2.5: "two", False: "no", "s": {}},
        "bytes": b"\0\1",
        "sizes": [torch.Size([2, 3]), torch.float16, torch.device("cpu")],
    }


def odd() -> dict[str, Any]:
    """Conjugated and negated views, parameters, and a list that occurs twice."""
    numbers = torch.randn(4, dtype=torch.complex64)
    return {
        "conjugated": numbers.conj(),
        "negated": torch.randn(3, dtype=torch.complex64).conj().imag,
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "frozen": torch.nn.Parameter(torch.randn(3), requires_grad=False),
        "shared list": [[1, 2]] * 2,
    }


KINDS = {kind.__name__: kind for kind in (of_every_dtype, tied, gaps, small, plain, odd)}


def until_whole(keep: Checkpointer, step: int) -> None:
    """Take a snapshot, trying again until its memory is there."""
    while not keep.snapshot(step).ok:
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back(make: Make, out: Path, memory: Path, kind: str) -> None:
    """The state is equal from the slot and from the checkpoint that the persister made of it."""
    torch.manual_seed(1)
    state = KINDS[kind]()
    keep = make({"state.pt": lambda: state})
    until_whole(keep, 1)
    assert_same(load(read_whole(memory)[0].path)["state.pt"], state)
    taken = keep.save(2, wait=True)
    assert taken.saved is not None
    assert taken.saved.ok, taken
    file = out / "checkpoint-2" / "state.pt"
    subprocess.run([sys.executable, "-m", "zipfile", "-t", file], check=True, capture_output=True)
    assert_same(torch.load(file, weights_only=True), state)


def test_sharing_comes_back(make: Make, out: Path) -> None:
    """Tensors that shared memory at the save share it after loading, and are stored once."""
    state = tied()
    make({"state.pt": lambda: state}).save(1, wait=True)
    found = load(out / "checkpoint-1")["state.pt"]
    found["one"].zero_()
    assert not any(tensor.any() for tensor in found.values())
    assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_changed_values_need_no_new_layout(make: Make, memory: Path, kind: str) -> None:
    """New values in the same shapes, in tensors that moved, keep the layout and are saved."""
    torch.manual_seed(1)
    state = KINDS[kind]()
    keep = make({"state.pt": lambda: state})
    until_whole(keep, 1)
    for step in range(2, 5):
        # All tensors are in other places now, with the same sharing.
        state = torch.load(saved(state), weights_only=True)
        until_whole(keep, step)
        assert_same(load(read_whole(memory)[0].path)["state.pt"], state)
    assert keep.rebuilds == 1


def saved(state: Any) -> Any:
    """A state as a file."""
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_scalars_change_each_step(make: Make, memory: Path) -> None:
    """A rate, a growing counter and a text are patched in place, without a new layout."""
    training = Training()
    extra: dict[str, Any] = {"count": 1, "text": "a", "flag": False, "maybe": None}
    keep = make({**training.sources, "extra.pt": lambda: extra})
    training.step()
    until_whole(keep, 1)
    for power in range(2, 14):
        step = training.step()
        extra = {"count": 9**power, "text": "a" * power, "flag": power % 2 == 0, "maybe": power / 7}
        until_whole(keep, step)
        found = load(read_whole(memory)[0].path)
        assert_same(found["extra.pt"], extra)
        assert found["optimizer.pt"]["param_groups"][0]["lr"] == 0.01 / step
        assert_same({name: found[name] for name in training.sources}, training.state())
    assert keep.rebuilds == 1


def test_a_layout_is_made_anew_only_when_it_must(make: Make, memory: Path) -> None:
    """New state, a new shape or key, and a lost key each make one layout, and nothing else does."""
    training = Training()
    extra: dict[str, Any] = {}
    keep = make({**training.sources, "extra.pt": lambda: extra})

    def take() -> int:
        until_whole(keep, training.steps)
        found = load(read_whole(memory)[0].path)
        assert_same({name: found[name] for name in training.sources}, training.state())
        assert_same(found["extra.pt"], extra)
        return keep.rebuilds

    assert take() == 1  # AdamW has no moments yet
    training.step()
    assert take() == 2
    assert [take() for _ in range(3)] == [2, 2, 2]
    changes: list[dict[str, Any]] = [
        {"a": torch.zeros(3)},
        {"a": torch.zeros(4)},
        {"a": torch.zeros(4, dtype=torch.float16)},
        {"a": torch.zeros(4, dtype=torch.float16), "b": 1},
        {"b": 1},
        {"b": torch.ones(2)},
    ]
    for number, changed in enumerate(changes):
        extra = changed
        assert (take(), take()) == (3 + number, 3 + number), changed
    training.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})
    assert take() == 3 + len(changes)


def test_nothing_aliases_a_slot(make: Make, out: Path, memory: Path) -> None:
    """Later writes to a slot or a checkpoint change no state that was loaded from it."""
    training = Training()
    training.step()
    keep = make(training.sources)
    keep.save(1, wait=True)
    for path in (read_whole(memory)[0].path, out / "checkpoint-1"):
        found = load(path)
        training.model.load_state_dict(found["model.pt"])
        training.optimizer.load_state_dict(found["optimizer.pt"])
        before = training.state()
        bytes_before = {file.name: file.read_bytes() for file in path.glob("*.pt")}
        for file in path.glob("*.pt"):
            with file.open("r+b") as target:
                target.write(b"\xff" * file.stat().st_size)
        assert_same(training.state(), before)
        for file in path.glob("*.pt"):
            file.write_bytes(bytes_before[file.name])
        training.step()
        assert {file.name: file.read_bytes() for file in path.glob("*.pt")} == bytes_before


def test_a_live_state_is_never_a_slots(make: Make, memory: Path) -> None:
    """No live tensor lies in a slot's memory, before or after a snapshot."""
    training = Training()
    keep = make(training.sources)
    training.step()
    until_whole(keep, 1)
    mapped = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(memory) in line:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            mapped.append(range(begin, end))
    assert mapped
    tensors = [*training.model.state_dict().values()]
    tensors += [one for state in training.optimizer.state.values() for one in state.values()]
    assert not any(tensor.data_ptr() in where for tensor in tensors for where in mapped)
    kept = clone(training.state())
    training.step()
    found = load(read_whole(memory)[0].path)
    assert_same({name: found[name] for name in training.sources}, kept)


def test_what_is_not_finite_is_found_in_weights_alone(make: Make, out: Path) -> None:
    """A causal mask of -inf is no damage; a parameter with NaN is, and the verdict says so."""
    model = torch.nn.Linear(3, 3)
    model.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    keep = make({"model.pt": model})
    first = keep.save(1, wait=True).saved
    with torch.no_grad():
        model.weight[1, 1] = float("nan")
    second = keep.save(2, wait=True).saved
    assert first is not None
    assert second is not None
    assert (first.finite, second.finite) == (True, False)


def test_what_cannot_be_pickled_raises(make: Make) -> None:
    """A mistake of the caller is an exception, not a failed save."""
    state: dict[str, Any] = {}
    keep = make({"state.pt": lambda: state})
    state["function"] = lambda: None
    with pytest.raises(AttributeError, match="pickle"):
        keep.save(1, wait=True)


@pytest.mark.parametrize("value", [None, 0.5, 3, [1, 2]], ids=str)
def test_a_tensor_that_is_none_any_more(make: Make, out: Path, value: object) -> None:
    """A best loss that is reset to None gets a new layout, like any other change."""
    state: dict[str, object] = {"best": torch.tensor(2.0), "other": torch.ones(4)}
    keep = make({"extra.pt": state})
    assert keep.save(1, wait=True).saved.ok  # type: ignore[union-attr]
    state["best"] = value
    assert keep.save(2, wait=True).saved.ok  # type: ignore[union-attr]
    assert load(out / "checkpoint-2")["extra.pt"]["best"] == value
