"""What the usual progress bars show of a training, and what only looks like its progress."""
# ruff: noqa: E501 -- a printed line stays one line

import re
import time
from pathlib import Path

import pytest

from supervisor.daemon.look.printed_course import Course, PrintedCourse, StepPace

PRINTED = Path(__file__).with_name("printed")
LOOK_BYTES = 300


def courses(data: bytes) -> list[Course]:
    """The course after each look at a growing log, without repetitions and paces."""
    printed, rest, found = PrintedCourse(), b"", list[Course]()
    for look, begin in enumerate(range(0, len(data), LOOK_BYTES)):
        *ended, rest = re.split(rb"\r\n|\n|\r", rest + data[begin : begin + LOOK_BYTES])
        lines = [line.decode("utf-8", "replace") for line in ended]
        course = printed.look(lines, rest.decode("utf-8", "replace"), look * 0.5)
        course = course._replace(step_rate=None)
        if found[-1:] != [course]:
            found.append(course)
    return found


def shown(*lines: str) -> Course:
    """The course after some lines, each seen by a look of its own."""
    printed, course = PrintedCourse(), Course()
    for number, line in enumerate(lines):
        course = printed.look([line], "", float(number))
    return course._replace(step_rate=None)


def bar(number: int, total: int, name: str = "", more: str = "") -> str:
    """A bar as tqdm draws it."""
    head = f"{name}: " if name else " "
    done = 10 * number // total
    drawn = f"{'█' * done}{' ' * (10 - done)}"
    return (
        f"{head}{100 * number // total:3}%|{drawn}| {number}/{total} [01:02<01:45, 5.97it/s{more}]"
    )


def test_transformers() -> None:
    """A real log of 5.24.0: its bar is the run's, and the bars of its evaluations are none.

    It evaluates before training, every 20 steps, at the end, and once more after `train`.
    """
    found = courses((PRINTED / "transformers.log").read_bytes())
    steps = [one.step for one in found if one.step is not None]
    assert steps == sorted(steps)
    assert {one.total for one in found if one.step is not None} == {60}
    assert found[-1] == Course(step=60, total=60, epoch=3, loss=3.035)
    assert all(one.batch is None for one in found)


def test_trl() -> None:
    """A real log of SFTTrainer, 1.16.0: the bars by which it prepares both datasets are none."""
    found = courses((PRINTED / "trl.log").read_bytes())
    assert {one.total for one in found} == {None, 40}
    assert found[0] == Course()
    assert found[-1] == Course(step=40, total=40, epoch=0, loss=3.525)


def test_lightning() -> None:
    """A real log of 2.6.6: each epoch has its own bar, so there is no step, but a place."""
    found = courses((PRINTED / "lightning.log").read_bytes())
    assert {one.step for one in found} == {None}
    places = [(one.epoch, one.batch) for one in found if one.batch is not None]
    assert places == sorted(places, key=lambda place: (place[0] or 0, place[1] or 0))
    assert found[-1] == Course(epoch=2, batch=20, batches=20, loss=0.00314)


def test_keras() -> None:
    """A real log of 3.15.1: two epochs, then `evaluate` and `predict`, whose bars are none."""
    found = courses((PRINTED / "keras.log").read_bytes())
    assert {(one.step, one.epochs, one.batches) for one in found} <= {(None, 2, 20), Course()[:3]}
    assert found[-1] == Course(epoch=2, epochs=2, batch=20, batches=20, loss=0.1103)


def test_stable_baselines3() -> None:
    """A real log of PPO, 2.9.2, with evaluations: each table has the steps of the run."""
    found = courses((PRINTED / "stable_baselines3.log").read_bytes())
    steps = [one.step for one in found if one.step is not None]
    assert steps == sorted(steps)
    assert found[-1] == Course(step=640, loss=40.7)


@pytest.mark.parametrize(
    ("lines", "course"),
    [
        ([bar(370, 1000, "", ", loss=1.23")], Course(step=370, total=1000, loss=1.23)),
        ([bar(370, 1000)], Course(step=370, total=1000)),
        ([bar(1, 1000), "{'loss': '1.358', 'grad_norm': '0.9', 'epoch': '0.12'}", bar(10, 1000)],
         Course(step=10, total=1000, epoch=0, loss=1.358)),
        ([bar(100, 1000, "Steps", ", lr=1e-5, step_loss=0.1")],
         Course(step=100, total=1000, loss=0.1)),
        (["Epoch 3:  45%|████▌     | 45/100 [00:10<00:14,  9.9it/s, v_num=0, train_loss=2.310]"],
         Course(epoch=3, batch=45, batches=100, loss=2.31)),
        (["Epoch 3/9 ━━━━━━━━━━━━━━━━━━━━━━━━ 12/1875 0:00:01 • 0:00:20 95.11it/s v_num: 0.000"],
         Course(epoch=3, epochs=9, batch=12, batches=1875)),
        (["Epoch 3/10", "45/100 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step - accuracy: 0.9 - loss: 0.2"],
         Course(epoch=3, epochs=10, batch=45, batches=100, loss=0.2)),
        (["Epoch 3/10", " 45/100 [====>.........] - ETA: 3s - loss: 0.25"],
         Course(epoch=3, epochs=10, batch=45, batches=100, loss=0.25)),
        (["03/14 01:02:03 - mmengine - INFO - Iter(train) [  100/20000]  lr: 1.0e-04  eta: 1:02:03  loss: 2.1"],
         Course(step=100, total=20000, loss=2.1)),
        (["03/14 01:02:03 - mmengine - INFO - Epoch(train)   [1][  50/ 500]  lr: 1.0e-04  eta: 1:02:03  loss: 2.1"],
         Course(epoch=1, batch=50, batches=500, loss=2.1)),
        (["      2/100      2.3G      1.234      2.34      1.23         45        640:  12%|█▏        | 8/64 [00:02<00:18,  3.0it/s]"],
         Course(epoch=2, epochs=100, batch=8, batches=64)),
        (["      2/100      2.3G      1.234      2.34      1.23         45        640: 12% ━─────────── 8/64 3.0it/s 2.1s<18s"],
         Course(epoch=2, epochs=100, batch=8, batches=64)),
        (["iter 100: loss 2.1000, time 231.55ms, mfu 41.55%"], Course(step=100, loss=2.1)),
        (["step 2000: train loss 1.7648, val loss 1.8857"], Course(step=2000, loss=1.7648)),
        (["step   12/19560 | loss 10.9 (+nanz)| norm 15.3 (+nanz)| lr 8.5e-06 | 330.51 ms"],
         Course(step=12, total=19560, loss=10.9)),
        (["| time/              |          |", "|    total_timesteps | 2048     |", "| train/             |          |",
          "|    loss            | 8.55     |", "|    value_loss      | 61.8     |"], Course(step=2048, loss=8.55)),
        (["2024-03-14 01:02:03 | INFO | train_inner | epoch 001:    100 / 1000 loss=9.1, ppl=548, wps=3000, num_updates=100, lr=1e-05"],
         Course(step=100, epoch=1, loss=9.1)),
        ([" [2025-03-14 03:39:11] iteration      100/  500000 | consumed samples:       25600 | lm loss: 2.1E+00 | loss scale: 1.0 |"],
         Course(step=100, total=500000, loss=2.1)),
        (["Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300000"], Course(epoch=1, batch=640, batches=60000, loss=2.3)),
        (["Epoch: [3][ 10/5005]\tTime  0.5 ( 0.6)\tLoss 6.9e+00 (6.95)"],
         Course(epoch=3, batch=10, batches=5005, loss=6.9)),
        (["Epoch 3/10: train_loss=0.51 acc=0.9"], Course(epoch=3, epochs=10, loss=0.51)),
    ],
)  # fmt: skip
def test_what_a_tool_prints(lines: list[str], course: Course) -> None:
    """Step, total and loss of the run; where the count begins again each epoch, its place there."""
    assert shown(*lines) == course


@pytest.mark.parametrize(
    "lines",
    [
        ["Map:  45%|####5     | 40500/90000 [00:04<00:05, 9120.11 examples/s]"],
        ["Loading checkpoint shards:  50%|#####     | 2/4 [00:07<00:07,  1.82s/it]"],
        ["Loading weights:  50%|#####     | 74/148 [00:07<00:07,  1.82it/s]"],
        ["Downloading shards:  50%|#####     | 2/4 [00:07<00:07,  1.82s/it]"],
        ["model-00001-of-00004.safetensors:  45%|####5     | 2.1G/4.9G [00:10<00:14, 200MB/s]"],
        ["Generating train split:  45%|####5     | 450/1000 [00:01<00:01, 450.0 examples/s]"],
        ["Writing model shards:  50%|#####     | 25/50 [00:01<00:01,  6.0it/s]"],
        ["Tokenizing train dataset:  45%|####5     | 450/1000 [00:01<00:01, 450.0it/s]"],
        ["Validation DataLoader 0:  50%|#####     | 60/120 [00:01<00:01,  6.0it/s]"],
        ["Evaluating:  50%|#####     | 60/120 [00:01<00:01,  6.0it/s, loss=0.3]"],
        ["Sanity Checking DataLoader 0:  50%|#####     | 1/2 [00:00<00:00,  6.0it/s]"],
        ["{'train_runtime': 22.5, 'train_samples_per_second': 10.6, 'train_loss': 3.0, 'epoch': 3.75}"],
        ["{'eval_loss': '3.032', 'eval_runtime': '0.318', 'epoch': '2.5'}"],
        ["wandb:  train/global_step 60"],
        # Counts that are not exact, are of epochs, have no end, or are short and alone.
        [bar(3, 10, "Epoch"), bar(4, 10, "Epochs")],
        [" 12%|#2   | 1.20k/10.0k [00:10<01:13, 120it/s]"],
        ["123it [00:10, 12.01it/s]"],
        [bar(3, 6)],
        ["Training ━━━━━━━━━╺━━━━━━━━━━━━━━━  42% 0:00:12"],
        # A bar that is full and never showed a loss may be of anything.
        [bar(100, 703), bar(703, 703)],
        # Keras draws the same bar where it evaluates or predicts.
        ["45/100 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step - accuracy: 0.9 - loss: 0.2"],
        ["45/100 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step"],
        ["|    mean_reward     | 2048     |", "| eval/ |  |"],
        ["resuming from step 120", "saved checkpoint at step 100"],
    ],
    ids=lambda lines: lines[0][:30],
)  # fmt: skip
def test_what_is_no_progress(lines: list[str]) -> None:
    """Bars of start-up and evaluation, summaries, and counts of which nothing is sure."""
    found = shown(*lines)
    assert (found.step, found.total, found.batch, found.loss) == (None, None, None, None)


def test_a_count_that_begins_again_is_no_step() -> None:
    """An unnamed bar of each epoch is a step at first, and a place once it has begun again."""
    first = [bar(number, 50, "", ", loss=0.5") for number in (1, 20, 50)]
    assert shown(*first).step == 50
    found = shown(*first, bar(1, 50, "", ", loss=0.4"), bar(7, 50, "", ", loss=0.3"))
    assert found == Course(batch=7, batches=50, loss=0.3)
    found = shown("step 45 loss 1.0", "step 90 loss 1.0", "step 1 loss 0.5")
    assert (found.step, found.batch) == (None, 1)


def test_ranks_that_lag_are_one_count() -> None:
    """Several ranks draw the same bar some steps apart."""
    numbers = (1, 0, 2, 1, 40, 38, 41, 60, 57, 60, 59)
    found = shown(*[bar(number, 60, "", ", loss=0.5") for number in numbers])
    assert found == Course(step=59, total=60, loss=0.5)


def test_a_step_beside_an_epoch_is_one_once_it_goes_on_over_epochs() -> None:
    """`[step=100/739328,epoch=0]` may count within the epoch until the next epoch shows it."""
    within = ["[step=100/400,epoch=0]", "[step=200/400,epoch=0]"]
    assert shown(*within) == Course(epoch=0, batch=200, batches=400)
    assert shown(*within, "[step=300/400,epoch=1]") == Course(step=300, total=400, epoch=1)
    assert shown(*within, "[step=10/400,epoch=1]") == Course(epoch=1, batch=10, batches=400)
    named = shown("Epoch 0: :   2%|▏         | 20/1000 [00:40<33:00, v_num=, global_step=19.0]")
    assert (named.step, named.epoch) == (19, 0)


def test_a_bar_beside_that_of_training_is_not_taken_for_it() -> None:
    """The first bar is training's, unless another shows a loss where that shows none."""
    train = [bar(20, 60, "", ", loss=0.5"), bar(60, 60, "", ", loss=0.4")]
    assert shown(*train, bar(40, 630)) == Course(step=60, total=60, loss=0.4)
    assert shown(bar(0, 60), bar(40, 630)).step is None
    assert shown(bar(40, 630), bar(20, 60, "", ", loss=0.5")) == Course(step=20, total=60, loss=0.5)
    stage = shown(*train, bar(0, 80), bar(5, 80, "", ", loss=0.9"))
    assert stage == Course(step=5, total=80, loss=0.9)
    keras = ["Epoch 1/2", "99/100 ━━━━━━━━━━━━ 3s 6ms/step - loss: 0.2"]
    evaluated = shown(*keras, "5/40 ━━━━━━━━━━━━ 1s 6ms/step - loss: 0.7")
    assert evaluated == Course(epoch=1, epochs=2, batch=99, batches=100, loss=0.2)


def test_a_line_that_is_still_written_is_read_only_where_its_numbers_are_whole() -> None:
    """A bar is drawn without a newline; of another line the number may be cut."""
    printed = PrintedCourse()
    assert printed.look([], bar(370, 1000, "", ", loss=1.2") + " ", 0.0).step == 370
    assert printed.look([], " 37%|███▋      | 380/10", 1.0).step == 370
    assert printed.look([], "step 12", 2.0).step == 370


def test_the_pace_is_that_of_the_last_minutes() -> None:
    """A counter that goes back, or stands, has no pace."""
    pace = StepPace()
    for second in range(0, 400, 10):
        pace.note(float(second), 1000 if second < 90 else 1000 + second)
    assert pace.rate() == pytest.approx(1.0)
    pace.note(400.0, 5)
    assert pace.rate() is None
    pace.note(410.0, 5)
    assert pace.rate() is None
    printed = PrintedCourse()
    for second in range(5):
        course = printed.look([bar(10 + 2 * second, 60, "", ", loss=1")], "", float(second))
    assert course.step_rate == pytest.approx(2.0)


def test_a_look_has_a_bound_whatever_is_printed() -> None:
    """Lines of very many numbers cannot hold up the daemon."""
    printed = PrintedCourse()
    printed.look(["begun"], "", 0.0)
    begun = time.process_time()
    printed.look(["step 1 " * 600] * 10_000, "", 1.0)
    assert time.process_time() - begun < 1.0
