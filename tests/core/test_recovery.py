"""The paragraph on what a kill would cost: its words, its length, and when it is news."""

import textwrap
from dataclasses import replace

import pytest

from supervisor.core.rules.recovery import (
    Recovery,
    StopWay,
    advice_sentence,
    recovery_sentences,
)
from supervisor.core.rules.save_interval import SaveAdvice

TRAINER = Recovery(
    trainer="huggingface 5.24.0", place="out", save_steps=500, step_s=0.8, stop=StopWay.SAVES
)


def text(known: Recovery) -> str:
    """The paragraph."""
    return ". ".join(recovery_sentences(known))


def test_an_adapted_trainer_in_four_facts() -> None:
    """Where and how often, what a kill costs, how a stop goes."""
    assert text(TRAINER) == (
        "huggingface 5.24.0 saves into out every 500 steps (about every 7 min)."
        " A kill loses up to 7 min of training, before the first save everything."
        " A stop (Ctrl-C, SIGTERM) saves at the step, and ends the run with 75"
    )


def test_without_the_time_of_a_step_steps_are_told() -> None:
    """Before the second step no time is known."""
    told = text(replace(TRAINER, step_s=None, save_steps=1500))
    assert "every 1,500 steps." in told
    assert "loses up to 1,500 steps" in told


def test_a_kill_after_a_save_loses_no_more_than_the_interval() -> None:
    """Once there is a checkpoint, the beginning is not lost any more."""
    assert "everything" not in text(replace(TRAINER, has_saved=True))


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            replace(TRAINER, save_steps=0),
            "saves nothing to resume from by itself. A kill loses everything",
        ),
        (replace(TRAINER, step_s=10.0), "Nothing is saved within an hour: a kill loses up to 83"),
        (replace(TRAINER, save_steps=0, save_every_s=600.0), "out every 10 min. A kill loses up"),
        (Recovery(), "where and how often the trainer saves is not known before its first save"),
        (Recovery(has_saved=True, place="o"), "how often is known after its third save"),
        (Recovery(has_saved=True, place="o"), "A kill loses everything since the last save"),
        (
            Recovery(trainer="nanoGPT", is_by_format=True, place="out"),
            "the trainer, whose checkpoints are like those of nanoGPT, saves into out",
        ),
        (
            Recovery(place="out", save_every_s=400.0, is_learned=True),
            "the trainer saves into out about every 7 min as seen so far",
        ),
        (replace(TRAINER, has_snapshots=True), "goes on from its newest snapshot in memory"),
        (replace(TRAINER, not_restored=("a", "b")), "A resume does not restore: a; b."),
        (replace(TRAINER, not_restored=("a" * 90, "b" * 90, "c")), f"{'a' * 90}; 2 more."),
        (replace(TRAINER, is_order_known=False), "It is not known whether a resume restores the"),
        (replace(TRAINER, stop=StopWay.DIES), "it gets SIGTERM and saves nothing"),
        (replace(TRAINER, stop=StopWay.SCRIPT), "is left to the script"),
        (replace(TRAINER, stop=StopWay.ASKED), "asks the script by `should_stop`"),
        (replace(TRAINER, stop=StopWay.NEXT_SAVE), "waits for its next save if that is due"),
        (replace(TRAINER, stop=StopWay.UNKNOWN), "whether it saves is not known"),
    ],
)
def test_each_fact_has_its_words(known: Recovery, words: str) -> None:
    """What is known is said, and what is not is said as not known."""
    assert words in text(known)


def test_before_a_launch_nothing_is_said_of_a_stop() -> None:
    """How the script takes SIGTERM is seen only once it runs."""
    assert "SIGTERM" not in text(replace(TRAINER, stop=None))


def test_the_longest_paragraph_has_six_lines_of_100_columns() -> None:
    """Beside the time of day, as the terminal prints it."""
    known = replace(
        TRAINER,
        trainer="huggingface 5.24.0.dev20261129+g0123456",
        place="/very/long" * 40,
        save_steps=1_000_000,
        step_s=12.0,
        not_restored=("x " * 300,) * 9,
        stop=StopWay.NEXT_SAVE,
    )
    lines = textwrap.wrap(f"12:00:00 recovery: {text(known)}.", 100, subsequent_indent=" " * 9)
    assert len(lines) <= 6


def test_times_are_no_news() -> None:
    """The same training at another pace, or in the next version's folder, is told once."""
    told = [replace(TRAINER, place="logs/version_3").key]
    assert not replace(TRAINER, place="logs/version_12", step_s=7.0, has_saved=True).is_news(told)
    assert replace(TRAINER, place="logs/version_3", save_steps=100).is_news(told)
    assert replace(TRAINER, place="logs/version_3", stop=StopWay.SCRIPT).is_news(told)


def test_an_interval_that_was_seen_is_news_once() -> None:
    """At the next attempt the interval is not known again; that is no news. Another interval is."""
    unknown = Recovery(place="out", has_saved=True, stop=StopWay.DIES)
    seen = replace(unknown, save_every_s=300.0, is_learned=True)
    assert unknown.is_news(())
    assert seen.is_news((unknown.key,))
    assert not unknown.is_news((seen.key,))
    assert not replace(seen, save_every_s=500.0).is_news((seen.key, unknown.key))
    late = replace(seen, save_every_s=900.0)
    assert late.is_news((unknown.key, seen.key))
    assert not late.is_news((seen.key, late.key))
    assert seen.is_news((seen.key, late.key))
    assert not replace(seen, place="out2").is_news((seen.key,))
    assert replace(seen, place="other").is_news((seen.key,))


@pytest.mark.parametrize(
    ("trainer", "share", "words"),
    [
        ("huggingface 5.24.0", 0.1, "`save_steps: 120` (every 6 min) would lose a tenth as much"),
        ("lightning 2.6.6", 0.5, "`every_n_train_steps=120` (every 6 min) would lose half as much"),
        ("ultralytics", 0.62, "a save every 6 min would lose 62 % as much time"),
        (None, 0.001, "a save every 6 min would lose 1 % as much time"),
    ],
)
def test_a_hint_has_the_tools_own_words(trainer: str | None, share: float, words: str) -> None:
    """The key is named only where the library is known."""
    told = advice_sentence(SaveAdvice(3120.0, 360.0, 120, share), trainer)
    assert told.startswith("it saves every 52 min; ")
    assert words in told


def test_without_the_time_of_a_step_a_hint_has_no_number_of_steps() -> None:
    """A time between saves that is configured may be known without it."""
    assert "save_steps" not in advice_sentence(SaveAdvice(3120.0, 360.0, None, 0.1), "huggingface")
