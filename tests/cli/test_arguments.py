"""In which arguments two command lines differ, and the name made of that."""

import shlex

import pytest

from supervisor.cli.start.arguments import difference_text, name_from, numbered
from supervisor.config.source import NAME

BASE = "python train.py --lr 1e-4 --fp16 data/a.json"


@pytest.mark.parametrize(
    ("now", "name", "text"),
    [
        (BASE.replace("1e-4", "3e-4"), "train-lr3e-4", "--lr 1e-4 is now --lr 3e-4"),
        (BASE.replace("--lr 1e-4", "--lr=3e-4"), "train-lr3e-4", "--lr 1e-4 is now --lr 3e-4"),
        (BASE.replace("1e-4", "-1"), "train-lr-1", "--lr 1e-4 is now --lr -1"),
        (BASE.replace("--fp16 ", ""), "train-no-fp16", "without --fp16"),
        (f"{BASE} --optim adam", "train-optim-adam", "with --optim adam"),
        (f"{BASE} --layers 1 2", "train-layers1-2", "with --layers 1 2"),
        (f"{BASE} optim.lr=0.1", "train-lr0.1", "with optim.lr=0.1"),
        (BASE.replace("train.py", "b/train.py"), "train-b", "train.py is now b/train.py"),
        (f"{BASE} --out /data/x/y", "train-out-y", "with --out /data/x/y"),
    ],
)
def test_what_differs_becomes_a_name(now: str, name: str, text: str) -> None:
    """The option and its value, in as few characters as tell two runs apart."""
    before, after = shlex.split(BASE), shlex.split(now)
    assert name_from("train", before, after) == name
    assert difference_text(before, after) == text


def test_two_scripts_of_one_name() -> None:
    """The part of the path that differs tells them apart."""
    words = [["python", f"{folder}/train.py"] for folder in ("a", "b")]
    assert name_from("train", *words) == "train-b"


@pytest.mark.parametrize(
    "more", ["--api-key sk-1234", "--token=sk-1234", "HF_TOKEN=sk-1234", "https://u:sk-1234@h/p"]
)
def test_a_secret_is_in_no_name_and_no_message(more: str) -> None:
    """A directory's name and a log are read by others."""
    before, after = shlex.split(BASE), shlex.split(f"{BASE} {more}")
    assert "1234" not in name_from("train", before, after)
    assert "1234" not in difference_text(before, after)


def test_another_secret_or_another_order_is_told_apart_by_a_check() -> None:
    """Words would not tell these runs apart."""
    one, other = (["python", "t.py", "--token", value] for value in ("a", "b"))
    assert name_from("t", one, other) == numbered("t", other) != numbered("t", one)
    assert "secret" in difference_text(one, other)
    before, after = ["t.py", "--a", "1", "--b", "2"], ["t.py", "--b", "2", "--a", "1"]
    assert name_from("t", before, after) == numbered("t", after)
    assert "order" in difference_text(before, after)


def test_a_long_difference_is_cut() -> None:
    """A name has 64 characters; a check of the command ends one that was cut."""
    before = ["t.py"]
    after = ["t.py", *(f"--option-{n}={n}" for n in range(40))]
    name = name_from("t", before, after)
    assert NAME.fullmatch(name)
    assert name.endswith(numbered("t", after)[1:])
    assert difference_text(before, after).endswith("and 33 more")


@pytest.mark.parametrize("odd", ["\n", "é", "'\"$`\\", "--", "-", "", "=", "a=", "\x1b[31m", "/"])
def test_odd_words_make_a_name_all_the_same(odd: str) -> None:
    """Whatever differs, the name is a valid one, and another than before."""
    name = name_from("t", ["t.py"], ["t.py", odd])
    assert NAME.fullmatch(name)
    assert name != "t"
