"""Vetting a slot: structure and weights, with any content, never of a replaced snapshot."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from supervisor.memory.slots import void
from supervisor.memory.snapshot_proof import SlotVerdict, read_verdict, vet
from tests.memory.conftest import DAMAGES, Fill, State

NAN = {"weight": torch.tensor([1.0, float("nan")])}


def test_a_good_snapshot(fill: Fill, states: dict[str, State]) -> None:
    """The weights are finite although a buffer is -inf, and the verdict is kept."""
    whole = fill(10, states, weights=("model.pt",))
    assert read_verdict(whole) is None
    assert vet(whole) == SlotVerdict(True, None, None)
    assert read_verdict(whole) == SlotVerdict(True, None, None)
    assert read_verdict(whole._replace(sequence=11)) is None
    # A later version's persister writes more fields.
    told = {**json.loads(whole.slot.verdict.read_text()), "flavour": [1]}
    whole.slot.verdict.write_text(json.dumps(told))
    assert read_verdict(whole) == SlotVerdict(True, None, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(fill: Fill, states: dict[str, State], value: float) -> None:
    """The reason names the file, and the snapshot is still whole."""
    bad = {"ema": torch.full((100_000,), value).bfloat16()}
    whole = fill(10, {**states, "ema_model.pt": bad}, weights=("model.pt", "ema_model.pt"))
    verdict = vet(whole)
    assert verdict is not None
    assert (verdict.finite, verdict.problem) == (False, None)
    assert str(verdict.reason).startswith("ema_model.pt ")


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        '{"files": {}}',
        '{"files": {"model.pt": []}}',
        '{"files": {"model.pt": [["int8", 0, 8]]}}',
        '{"files": {"model.pt": [["float32", 1, 8]]}}',
        '{"files": {"model.pt": [["float32", 0, 7]]}}',
        '{"files": {"model.pt": [["float32", -4, 8]]}}',
        '{"files": {"model.pt": [["float32", 0, 1e3]]}}',
        '{"files": {"model.pt": [[["float32"], 0, 8]]}}',
        '{"files": {"model.pt": [["float32", 0, 36893488147419103232]]}}',
        '{"files": {"model.pt": [["float32", 9223372036854775800, 8]]}}',
        '{"files": {"model.pt": [["float32", 0]]}}',
        '{"files": {"absent.pt": [["float32", 0, 8]]}}',
        '{"files": {"../../../etc/passwd": [["float32", 0, 8]]}}',
        '{"files": ' + "[" * 100_000,
    ],
)
def test_nobody_says_which_bytes_are_weights(fill: Fill, content: str | None) -> None:
    """Without the ranges, finiteness is unknown, and the snapshot is as whole as before."""
    whole = fill(10, {"model.pt": NAN})
    if content is None:
        whole.slot.weights.unlink()
    else:
        whole.slot.weights.write_text(content)
    assert vet(whole) == SlotVerdict(None, None, None)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_checkpoint(fill: Fill, damage: Callable[[Path], object]) -> None:
    """The problem is a value, and it is kept like any verdict."""
    whole = fill(10, {"model.pt": {"weight": torch.randn(50)}}, change=damage)
    verdict = vet(whole)
    assert verdict is not None
    assert verdict.problem
    assert read_verdict(whole) == verdict


def test_a_snapshot_replaced_while_it_is_vetted(fill: Fill, states: dict[str, State]) -> None:
    """A replaced snapshot gets no verdict, and none is kept."""
    whole = fill(10, states)

    def replace() -> bool:
        fill(11, states)
        return False

    assert vet(whole, should_stop=replace) is None
    assert not whole.slot.verdict.exists()


def test_a_slot_voided_or_gone_while_it_is_vetted(
    fill: Fill, states: dict[str, State], root: Path
) -> None:
    """A slot that is voided or gone gets no verdict, and raises no error."""
    whole = fill(10, states)
    assert vet(whole, should_stop=lambda: bool(void(whole.slot))) is None
    whole = fill(11, states)
    assert vet(whole, should_stop=lambda: bool(shutil.rmtree(root))) is None


def test_vetting_stops_for_what_is_more_urgent(fill: Fill, states: dict[str, State]) -> None:
    """A save must not wait for a verdict."""
    whole = fill(10, states)
    assert vet(whole, should_stop=lambda: True) is None
    assert read_verdict(whole) is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"sequence": 10}', '{"sequence": 10, "x": 1}']
)
def test_a_damaged_verdict_is_none(fill: Fill, states: dict[str, State], content: str) -> None:
    """A damaged verdict reads as none."""
    whole = fill(10, states)
    whole.slot.verdict.write_text(content)
    assert read_verdict(whole) is None


def test_a_verdict_can_be_had_without_being_kept(fill: Fill, states: dict[str, State]) -> None:
    """A look that changes nothing needs the verdict, and so does a full directory."""
    whole = fill(10, states)
    assert vet(whole, keep=False) == SlotVerdict(True, None, None)
    assert not whole.slot.verdict.exists()
