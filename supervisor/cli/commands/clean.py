"""`supervisor clean`: what dead runs left in memory, to be used, saved or removed; and metrics."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from supervisor.cli.memory_leftovers import Leftover, find_leftovers, remove
from supervisor.cli.metrics_leftovers import MetricsLeftover, find_metrics
from supervisor.cli.show.advice import shown_config, shown_path
from supervisor.cli.show.formatting import age_text, count_text, size_text
from supervisor.cli.show.terminal import echo, json_text, strip_controls
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.memory.persist import persist
from supervisor.memory.slots import Lock
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.system.clock import wall_s


@click.command("clean", short_help="List, save or remove what dead runs left.")
@click.argument("names", nargs=-1, metavar="[RUN]...")
@click.option(
    "--save", is_flag=True, help="First save to the disk each snapshot that is not there yet."
)
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, and ask nothing.")
def clean_command(names: tuple[str, ...], save: bool, yes: bool, as_json: bool) -> None:
    """List what dead runs left in shared memory, and their metrics files; ask, then remove it.

    RUN is the name of a leftover from the list, or a run directory. A snapshot that is newer than
    the checkpoints on the disk is removed only in two cases: its RUN is named, or `--save` has
    saved it to the disk. The metrics of a run that is held, which keep up its alert, are removed
    only if its RUN is named. What a living run uses is never touched.
    """
    metrics = find_metrics(names)
    for reason in metrics.reasons:
        echo(f"{reason}: the metrics there are left alone", err=True)
    others = [*(one.run_dir for one in metrics.leftovers), *metrics.unseen]
    in_memory = _named(find_leftovers(), names, others)
    if save:
        in_memory = [_save(one) for one in in_memory]
    found: list[Leftover | MetricsLeftover] = [*in_memory, *metrics.leftovers]
    going = [one for one in found if one.loses_nothing or names]
    if as_json:
        body = [
            {**one.as_json(), "removed": yes and one in going and _remove(one)} for one in found
        ]
        click.echo(json_text(body))
        return
    if not found:
        metrics_too = "" if metrics.unseen else ", and no metrics"
        echo(f"Dead runs left nothing in memory{metrics_too}.")
        return
    for one in found:
        for line in _lines(one):
            echo(strip_controls(line))
    if not going:
        return
    size = size_text(sum(one.bytes for one in going))
    what = f"{len(going)} of {len(found)}" if len(going) < len(found) else f"{len(going)}"
    if not yes:
        if not sys.stdin.isatty():
            echo(f"To remove {what} ({size}), add --yes")
            return
        if not click.confirm(f"Remove {what} ({size})?"):
            return
    gone = [one for one in going if _remove(one)]
    echo(f"removed {len(gone)} ({size_text(sum(one.bytes for one in gone))})")


def _remove(one: Leftover | MetricsLeftover) -> bool:
    """Remove it; False if a run uses it by now."""
    return one.remove() if isinstance(one, MetricsLeftover) else remove(one)


def _named(found: list[Leftover], names: tuple[str, ...], others: list[Path]) -> list[Leftover]:
    """The leftovers with these names; all of them if no name is given. Raises SupervisorError.

    `others`: run directories that left something else.
    """
    if not names:
        return found
    chosen = []
    for name in names:
        place = Path(name).absolute()
        those = [one for one in found if name == one.name or place in (one.path, one.run_dir)]
        if not those and place not in others:
            raise SupervisorError(
                f"{name}: this run left nothing, or it still lives",
                hint="`supervisor clean` lists what dead runs left in memory",
                code=ExitCode.USAGE,
            )
        chosen += [one for one in those if one not in chosen]
    return chosen


def _save(one: Leftover) -> Leftover:
    """Save a leftover that is an only copy, and say where. A failure changes only the reason."""
    if one.whole is None or one.worth != "only copy":
        return one
    try:
        with Lock(one.whole.slot.lock) as lock:
            lock.acquire(shared=True)
            path = persist(one.whole).path
    except (OSError, ValueError) as error:
        return replace(one, reason=f"the snapshot could not be saved: {error}")
    step = one.whole.snapshot.step
    return replace(one, worth="on the disk", disk_step=step, reason=f"saved as {path}")


def _lines(one: Leftover | MetricsLeftover) -> Iterator[str]:
    """One leftover in words, and what to type."""
    if isinstance(one, MetricsLeftover):
        yield f"{one.path}  metrics of {shown_path(one.run_dir)}, {one.state}"
        if not one.loses_nothing:
            yield f"  to remove them: supervisor clean {shown_path(one.run_dir)}"
        return
    status = None if one.run_dir is None else read_status(RunPaths(one.run_dir).status)
    whose = f" of {shown_path(one.run_dir)}" if one.run_dir is not None else ""
    yield f"{one.name}{whose}  {size_text(one.bytes)}"
    if one.whole is None:
        yield "  no snapshot in it"
        return
    snapshot = one.whole.snapshot
    age = age_text(wall_s() - snapshot.written)
    text = f"  step {count_text(snapshot.step)}, {size_text(snapshot.bytes)}, taken {age}"
    disk = (
        f"step {count_text(one.disk_step)}" if one.disk_step is not None else "no valid checkpoint"
    )
    match one.worth:
        case "only copy":
            yield f"{text}: NOT on the disk (newest in {snapshot.directory}: {disk})"
            if one.run_dir is not None:
                yield f"  to go on from it:       supervisor run {shown_config(status)}"
            yield f"  to save it to the disk: supervisor clean --save {one.name}"
        case "on the disk":
            yield f"{text}: the disk has {disk}"
        case "useless":
            yield f"{text}: cannot be used"
        case _:
            yield f"{text}: whether the disk has it is not known"
    if one.reason:
        yield f"  {one.reason}"
