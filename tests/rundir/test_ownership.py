"""The owner of a checkpoint directory: where its mark lies, and what another run's mark means."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint import moved_mark, owner_mark
from supervisor.checkpoint.owner_mark import OwnerMark, mark_of
from supervisor.rundir.claiming import Claim, claim
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.lock import RunLock
from supervisor.rundir.ownership import Claimant, Standing, look, refusal
from supervisor.rundir.paths import RunPaths
from supervisor.system.mounts import mount_point

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def make_run(folder: Path, run_id: str, *entries: dict[str, Any]) -> Path:
    """Make a run directory with a ledger."""
    paths = RunPaths(folder)
    paths.state_dir.mkdir(parents=True, exist_ok=True)
    writer = LedgerWriter(paths.ledger, paths.reserve)
    writer.append([{"type": "run_created", "run_id": run_id, "name": folder.name}, *entries])
    writer.close()
    return folder


def asks(run_dir: Path, run_id: str = "me", *, use: bool = False) -> Claimant:
    """A run that claims the directory."""
    return Claimant(run_id, run_dir.name, run_dir, use)


def put(place: Path, mark: OwnerMark, **fields: Any) -> OwnerMark:
    """Write a mark as its run would have written it."""
    mark = replace(mark, **fields)
    assert owner_mark.make(place, mark)
    return mark


def take(directory: Path, claimant: Claimant, *, seen: bool = False, force: bool = False) -> Claim:
    """Claim the directory."""
    return claim(directory, claimant, has_checkpoint=seen, by_force=force)


@pytest.fixture
def mine(tmp_path: Path) -> Claimant:
    """The claiming run, with a run directory of its own."""
    return asks(make_run(tmp_path / "runs" / "b", "me"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A checkpoint directory."""
    folder = tmp_path / "work" / "out"
    folder.mkdir(parents=True)
    return folder


def place_of(directory: Path) -> Path:
    """The place of its mark."""
    return directory.parent / f".{directory.name}.supervised-by"


def test_the_mark_says_whose_it_is(mine: Claimant, out: Path) -> None:
    """The mark lies beside the directory, readable for all with any umask; nothing else stays."""
    before = os.umask(0o077)
    try:
        made = take(out, mine)
    finally:
        os.umask(before)
    assert made.place == place_of(out)
    assert made.place.stat().st_mode & 0o777 == 0o644
    body = json.loads(made.place.read_text())
    assert (body["run_id"], body["name"], body["run_dir"]) == ("me", "b", str(mine.run_dir))
    assert (body["uid"], body["mount"]) == (os.getuid(), str(mount_point(mine.run_dir)))
    assert {"host", "machine_id", "user", "since"} <= set(body)
    assert sorted(p.name for p in out.parent.iterdir()) == [".out.supervised-by", "out"]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("shape", ["a link", "a link to its parent", "dots"])
def test_one_directory_by_two_paths(mine: Claimant, out: Path, shape: str) -> None:
    """By any path it is one directory, with one mark that has the directory's own name."""
    other = asks(make_run(out.parent / "runs" / "a", "other"), "other")
    assert take(out, other).place == place_of(out)
    links = out.parents[1] / "links"
    links.mkdir()
    match shape:
        case "a link":
            (links / "scratch").symlink_to(out)
            path = links / "scratch"
        case "a link to its parent":
            (links / "deep").symlink_to(out.parent)
            path = links / "deep" / "out"
        case _:
            path = links / ".." / "work" / "out"
    found = look(path, mine)
    assert (found.standing, found.directory) == (Standing.TAKEN, out)
    refused = refusal(found, mine)
    assert refused is not None
    assert "'a'" in refused.message
    assert "'b'" in refused.message
    assert str(other.run_dir) in refused.message
    assert str(mine.run_dir) in refused.message
    assert take(path, mine).place is None
    assert json.loads(place_of(out).read_text())["run_id"] == "other"


def test_a_loop_of_links_is_no_directory(mine: Claimant, tmp_path: Path) -> None:
    """Links that lead nowhere are reported as a problem, and raise nothing."""
    (tmp_path / "x").symlink_to(tmp_path / "x")
    assert take(tmp_path / "x" / "out", mine).place is None


def test_no_directory_is_made(mine: Claimant, tmp_path: Path) -> None:
    """Without the parent no mark is made yet: only the trainer makes its directories."""
    directory = tmp_path / "not" / "yet"
    made = take(directory, mine, seen=True)
    assert made.place is None
    assert made.problem is not None
    assert not (tmp_path / "not").exists()
    (tmp_path / "not").mkdir()
    assert take(directory, mine).place == place_of(directory)
    assert not directory.exists()


def test_the_own_mark_is_renewed(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """A run whose directory was moved renews the path in its mark, and keeps the date."""
    place = put(place_of(out), mark_of("me", "b", mine.run_dir), since="2020-01-01T00:00:00.000Z")
    before = place_of(out).stat().st_ino
    assert take(out, mine).place == place_of(out)
    assert place_of(out).stat().st_ino == before, "nothing has changed: it is not written"
    moved = tmp_path / "moved"
    mine.run_dir.rename(moved)
    made = take(out, asks(moved))
    assert (made.place, made.taken) == (place_of(out), ())
    body = json.loads(place_of(out).read_text())
    assert (body["run_dir"], body["since"]) == (str(moved), place.since)
    put_aside = [p.name for p in out.parent.iterdir()]
    assert sorted(put_aside) == [".out.supervised-by", "out"]


def gone(folder: Path) -> None:
    """Remove the run directory."""
    shutil.rmtree(folder)


def emptied(folder: Path) -> None:
    """Remove our records from the run directory."""
    shutil.rmtree(RunPaths(folder).state_dir)


def a_file(folder: Path) -> None:
    """Put a file in the run directory's place."""
    shutil.rmtree(folder)
    folder.write_text("")


def another(folder: Path) -> None:
    """Put another run into the run directory."""
    shutil.rmtree(folder)
    make_run(folder, "a third one")


@pytest.mark.parametrize("end", [gone, emptied, a_file, another])
def test_a_run_that_is_no_more(mine: Claimant, out: Path, tmp_path: Path, end: Any) -> None:
    """If its directory is gone, or another run's, the mark is taken over and that is reported."""
    folder = make_run(tmp_path / "runs" / "a", "other")
    put(place_of(out), mark_of("other", "a", folder))
    end(folder)
    found = look(out, mine)
    assert found.standing is Standing.OVER
    assert refusal(found, mine) is None
    made = take(out, mine)
    assert made.place == place_of(out)
    (taken,) = made.taken
    assert taken.file.mark is not None
    assert taken.file.mark.run_id == "other"
    assert json.loads(place_of(out).read_text())["run_id"] == "me"
    assert take(out, mine).taken == (), "it is told once"


def test_the_own_run_begun_anew(mine: Claimant, out: Path) -> None:
    """The run directory was removed and made again: its old mark is no other run's."""
    put(place_of(out), mark_of("before", "b", mine.run_dir))
    lock = RunLock.acquire(RunPaths(mine.run_dir))
    try:
        assert take(out, mine).place == place_of(out)
        RunPaths(mine.run_dir).ledger.unlink()
        assert look(out, replace(mine, run_id=None)).standing is Standing.OVER
    finally:
        os.close(lock.fd)


def test_a_living_run_whose_disk_was_full(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """The run's ledger is empty, but a supervisor holds the run: it is not gone."""
    folder = make_run(tmp_path / "runs" / "a", "other")
    put(place_of(out), mark_of("other", "a", folder))
    RunPaths(folder).ledger.unlink()
    lock = RunLock.acquire(RunPaths(folder))
    try:
        assert look(out, mine).standing is Standing.TAKEN
    finally:
        os.close(lock.fd)
    RunPaths(folder).lock.unlink()  # it names this process, which lives
    assert look(out, mine).standing is Standing.OVER


FINISHED = {"type": "decision", "state": "completed", "reason": "exit 0"}


@pytest.mark.parametrize(
    ("entries", "use", "standing"),
    [
        ([FINISHED], True, Standing.OVER),
        ([FINISHED], False, Standing.TAKEN),
        ([FINISHED, {"type": "reopened"}], True, Standing.TAKEN),
        ([], True, Standing.TAKEN),
    ],
)
def test_a_finished_run(
    mine: Claimant,
    out: Path,
    tmp_path: Path,
    entries: list[dict[str, Any]],
    use: bool,
    standing: Standing,
) -> None:
    """A finished run's checkpoints may be used if the configuration says so, no others."""
    (out / "checkpoint-10").mkdir()
    folder = make_run(tmp_path / "runs" / "a", "other", *entries)
    put(place_of(out), mark_of("other", "a", folder))
    claimant = replace(mine, goes_on_from_others=use)
    assert look(out, claimant).standing is standing
    made = take(out, claimant)
    assert (made.place is not None) is (standing is Standing.OVER)


def test_a_finished_run_that_left_nothing(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """Without checkpoints there is nothing that two runs could mix up."""
    put(place_of(out), mark_of("other", "a", make_run(tmp_path / "runs" / "a", "other", FINISHED)))
    assert look(out, mine).standing is Standing.OVER
    (out / "events.log").write_text("x")
    assert look(out, mine).standing is Standing.TAKEN


@pytest.mark.parametrize(
    "entry", [{"type": "attempt_started"}, {"type": "stop_requested"}, {"type": ["odd"], "x": 1}]
)
def test_entries_of_another_version(
    mine: Claimant, out: Path, tmp_path: Path, entry: dict[str, Any]
) -> None:
    """A check of another run's record reads only the entries that it needs."""
    put(place_of(out), mark_of("other", "a", make_run(tmp_path / "runs" / "a", "other", entry)))
    assert look(out, mine).standing is Standing.TAKEN


def test_removed_and_begun_again_in_another_container(mine: Claimant, out: Path) -> None:
    """Each container has its own host name, but the run directory is the same."""
    put(place_of(out), mark_of("before", "b", mine.run_dir), **ELSEWHERE)
    shutil.rmtree(mine.run_dir)
    assert look(out, mine).standing is Standing.OVER


def test_a_directory_in_one_of_the_same_name(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """The mark beside `ckpt/ckpt` lies inside `ckpt`: each directory has its own owner."""
    inner = out / out.name
    inner.mkdir()
    other = asks(make_run(tmp_path / "runs" / "a", "other"), "other")
    assert take(inner, other, seen=True).place == place_of(inner)
    assert look(out, mine).standing is Standing.FREE
    assert take(out, mine, seen=True).place == place_of(out)
    assert look(inner, other).standing is Standing.OWN


def test_anothers_mark_that_cannot_be_replaced(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """On a sticky /scratch the mark of a run that is over stays, and the new mark lies inside."""
    put(place_of(out), mark_of("gone", "a", tmp_path / "runs" / "nowhere"))

    def refuse(*_: object) -> bool:
        raise PermissionError(1, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner_mark, "replace_other", refuse)
        made = take(out, mine, seen=True)
    assert made.place == out / f".{out.name}.supervised-by"
    assert "Operation not permitted" in (made.problem or "")
    assert refusal(look(out, mine), mine) is None


ELSEWHERE = {"host": "gpu07", "machine_id": "f" * 32}


@pytest.mark.parametrize(
    ("there", "fields", "why"),
    [
        ("gone", ELSEWHERE, "does not exist on this machine"),
        ("gone", {"machine_id": "f" * 32}, "does not exist on this machine"),
        ("gone", {"host": "gpu07"}, "does not exist on this machine"),
        ("another", ELSEWHERE, "another run is in"),
        ("gone", {"mount": "/mnt/no such mount"}, "is not mounted"),
        ("another", {"mount": "/mnt/no such mount"}, "is not mounted"),
        ("a pipe", {}, "is not a file"),
        ("rotten", {}, "does not say which run it belongs to"),
    ],
)
def test_a_run_that_cannot_be_seen(
    mine: Claimant, out: Path, tmp_path: Path, there: str, fields: dict[str, str], why: str
) -> None:
    """The claim is refused and names the option that takes over; that reports the old owner."""
    folder = make_run(tmp_path / "runs" / "a", "other")
    put(place_of(out), mark_of("other", "a", folder), **fields)
    ledger = RunPaths(folder).ledger
    match there:
        case "gone":
            gone(folder)
        case "another":
            another(folder)
        case "a pipe":
            ledger.unlink()
            os.mkfifo(ledger)
        case _:
            ledger.write_bytes(b"\xff" * 1000)
    found = look(out, mine)
    assert found.standing is Standing.UNSEEN
    refused = refusal(found, mine)
    assert refused is not None
    assert why in refused.message
    assert "'a'" in refused.message
    assert str(folder) in refused.message
    assert "--take-over" in refused.hint
    assert take(out, mine).place is None
    made = take(out, mine, force=True)
    assert (made.place, len(made.taken)) == (place_of(out), 1)
    assert look(out, mine).standing is Standing.OWN


def test_another_machines_run_that_is_here(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """A shared run directory of that id is a conflict on any machine, and force does not help."""
    folder = make_run(tmp_path / "runs" / "a", "other")
    put(place_of(out), mark_of("other", "a", folder), **ELSEWHERE)
    refused = refusal(look(out, mine), mine)
    assert refused is not None
    assert "--take-over" not in refused.hint
    assert take(out, mine, force=True).place is None
    assert json.loads(place_of(out).read_text())["run_id"] == "other"


@pytest.mark.parametrize(
    "damage",
    ["empty", "torn", "list", "nested", "relative", "wrong types", "link", "pipe", "folder"],
)
def test_a_damaged_mark(mine: Claimant, out: Path, damage: str) -> None:
    """Nobody knows the owner of a damaged mark: refused with a message, replaced only by force."""
    place = place_of(out)
    good = mark_of("other", "a", mine.run_dir).to_json()
    match damage:
        case "empty":
            place.write_bytes(b"")
        case "torn":
            place.write_bytes(good[:40])
        case "list":
            place.write_bytes(b"[1]")
        case "nested":
            place.write_bytes(b"[" * 60000)
        case "relative":
            place.write_text(json.dumps({**json.loads(good), "run_dir": "runs/a"}))
        case "wrong types":
            place.write_text(json.dumps({**json.loads(good), "mount": 7}))
        case "link":
            place.symlink_to("/etc/hostname")
        case "pipe":
            os.mkfifo(place)
        case _:
            place.mkdir()
    refused = refusal(look(out, mine), mine)
    assert refused is not None
    assert "is not known" in refused.message
    assert "--take-over" in refused.hint
    assert take(out, mine).place is None
    assert take(out, mine, force=True).place == place
    assert look(out, mine).standing is Standing.OWN


def test_what_killed_makers_left(mine: Claimant, out: Path) -> None:
    """Leftover stages of marks are harmless, and the next maker of that mark removes them."""
    for name in (".out.supervised-by.tmp-7-abcdef01", ".out.supervised-by.tmp-8-abcdef02"):
        (out.parent / name).write_text("{")
    (out.parent / ".out2.supervised-by.tmp-9-abcdef03").write_text("{")
    assert look(out, mine).standing is Standing.FREE
    take(out, mine)
    left = sorted(p.name for p in out.parent.iterdir())
    assert left == [".out.supervised-by", ".out2.supervised-by.tmp-9-abcdef03", "out"]


def test_without_hard_links(mine: Claimant, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links, still only one run is the first."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert take(out, mine).place == place_of(out)
    assert not owner_mark.make(place_of(out), mark_of("other", "a", mine.run_dir))
    assert json.loads(place_of(out).read_text())["run_id"] == "me"


def test_a_link_that_nfs_made_twice(
    mine: Claimant, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that succeeded and got "exists" on its repetition did succeed."""
    link = os.link

    def repeat(*words: Any, **more: Any) -> None:
        link(*words, **more)
        link(*words, **more)

    monkeypatch.setattr(os, "link", repeat)
    assert owner_mark.make(place_of(out), mark_of("me", "b", mine.run_dir))


class Killed(BaseException):
    """SIGKILL, at a place that a test chooses."""


def replace_and_die(
    monkeypatch: pytest.MonkeyPatch, place: Path, mine: Claimant, *, renewed_by: OwnerMark | None
) -> None:
    """Move a judged mark aside as a claiming run does, and die before the next call.

    `renewed_by`: the mark that another run wrote there between the look and the move.
    """
    judged = owner_mark.read(place)
    assert judged is not None
    if renewed_by is not None:
        owner_mark.renew(place, renewed_by)
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise Killed

        patch.setattr(moved_mark, "restore", die)
        patch.setattr(owner_mark, "make", die)
        with pytest.raises(Killed):
            owner_mark.replace_other(judged, mark_of("me", "b", mine.run_dir))
    assert not place.exists()


def names_beside(place: Path) -> list[str]:
    """The names beside a mark that concern marks."""
    return sorted(p.name for p in place.parent.iterdir() if "supervised-by" in p.name)


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("where", ["beside", "inside", "inside, renamed"])
def test_a_kill_while_a_living_runs_mark_is_aside(
    mine: Claimant, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str,
    has_links: bool,
) -> None:  # fmt: skip
    """The moved mark counts for every claimant, and the next claim puts it back."""
    name = {"beside": "", "inside": ".out", "inside, renamed": ".elsewhere"}[where]
    place = out / f"{name}.supervised-by" if name else place_of(out)
    living = mark_of("living", "a", make_run(tmp_path / "runs" / "a", "living"))
    living = replace(living, inode=out.stat().st_ino)
    put(place, mark_of("gone", "gone", tmp_path / "runs" / "gone"), inode=out.stat().st_ino)
    replace_and_die(monkeypatch, place, mine, renewed_by=living)
    assert look(out, mine).standing is Standing.TAKEN
    assert look(out, asks(tmp_path / "runs" / "a", "living")).standing is Standing.OWN
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    made = take(out, mine, force=True)
    assert (made.place, made.ownership.standing) == (None, Standing.TAKEN)
    assert owner_mark.OwnerMark.from_json(place.read_bytes()) == living
    assert names_beside(place) == [place.name]


def refuse_links(*_: object, **__: object) -> None:
    """Fail as vfat does."""
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("who", ["mine", "the living run"])
def test_a_kill_while_a_mark_is_aside(
    mine: Claimant, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """The next run replaces a stale mark, and a run gets its own mark back."""
    stale = mark_of("gone", "gone", tmp_path / "runs" / "gone")
    put(place_of(out), stale)
    renewed = mark_of("me", "b", mine.run_dir) if who == "the living run" else None
    replace_and_die(monkeypatch, place_of(out), mine, renewed_by=renewed)
    made = take(out, mine)
    assert (made.place, len(made.taken)) == (place_of(out), 0 if renewed else 1)
    assert json.loads(place_of(out).read_text())["run_id"] == "me"
    assert names_beside(place_of(out)) == [place_of(out).name]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_mark_that_was_renewed_meanwhile(
    mine: Claimant, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """The renewed mark goes back into its place, also on a file system without hard links."""
    put(place_of(out), mark_of("gone", "gone", tmp_path / "runs" / "gone"))
    judged = owner_mark.read(place_of(out))
    assert judged is not None
    owner_mark.renew(place_of(out), mark_of("living", "a", tmp_path))
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    assert not owner_mark.replace_other(judged, mark_of("me", "b", mine.run_dir))
    assert json.loads(place_of(out).read_text())["run_id"] == "living"
    assert names_beside(place_of(out)) == [place_of(out).name]


def test_a_full_disk_while_a_mark_is_aside(
    mine: Claimant, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old mark is in its place again, and the problem is reported."""
    put(place_of(out), mark_of("gone", "gone", tmp_path / "runs" / "gone"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner_mark, "create_durably", refuse)
    made = take(out, mine)
    assert "No space left" in (made.problem or "")
    assert json.loads(place_of(out).read_text())["run_id"] == "gone"
    assert names_beside(place_of(out)) == [place_of(out).name]


def test_what_movers_left_long_ago(
    mine: Claimant, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a mark in its place a moved one means nothing; the next maker removes an old one."""
    moved = moved_mark.aside_of(place_of(out))
    put(place_of(out), mark_of("me", "b", mine.run_dir))
    moved.write_bytes(mark_of("other", "a", out).to_json())
    assert look(out, mine).standing is Standing.OWN
    assert not owner_mark.make(place_of(out), mark_of("me", "b", mine.run_dir))
    assert moved.exists()
    monkeypatch.setattr(moved_mark, "wall_s", lambda: time.time() + 7200)
    assert not owner_mark.make(place_of(out), mark_of("me", "b", mine.run_dir))
    assert names_beside(place_of(out)) == [place_of(out).name]


RACER = """
import sys
from pathlib import Path
from supervisor.rundir.claiming import claim
from supervisor.rundir.ownership import Claimant
run_dir = Path(sys.argv[2])
claimant = Claimant(run_dir.name, run_dir.name, run_dir, False)
print("ready", flush=True)
sys.stdin.readline()
made = claim(Path(sys.argv[1]), claimant, has_checkpoint=False)
print(made.place, flush=True)
"""


@pytest.mark.parametrize("was", ["free", "over"])
def test_one_of_many_gets_it(out: Path, tmp_path: Path, was: str) -> None:
    """Of runs that begin at once, also over the mark of a run that is gone, exactly one gets it."""
    if was == "over":
        put(place_of(out), mark_of("gone", "gone", tmp_path / "runs" / "gone"))
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(out), str(make_run(tmp_path / "runs" / name, name))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for name in ("r1", "r2", "r3", "r4", "r5")
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    places = [racer.communicate(timeout=30)[0].strip() for racer in racers]
    assert sorted(places) == sorted([str(place_of(out)), *["None"] * 4])
    winner = f"r{places.index(str(place_of(out))) + 1}"
    assert json.loads(place_of(out).read_text())["run_id"] == winner
    assert [p.name for p in out.parent.iterdir() if ".tmp-" in p.name] == []


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as a user to whom modes matter."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A place that a user without privileges can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    (folder / "closed").chmod(0o777)
    shutil.rmtree(folder)


def test_a_parent_that_is_closed(mine: Claimant, shared: Path) -> None:
    """In a closed parent the mark lies inside, from the first checkpoint on, not before."""
    parent = shared / "closed"
    directory = parent / "out"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    parent.chmod(0o555)
    with unprivileged():
        made = take(directory, mine)
        assert made.place is None
        assert "Permission denied" in str(made.problem)
        assert list(directory.iterdir()) == []
        made = take(directory, mine, seen=True)
    assert made.place == directory / ".out.supervised-by"
    assert look(directory, mine).standing is Standing.OWN
    assert look(directory, replace(mine, run_id="other")).standing is Standing.TAKEN
    with unprivileged():
        assert take(directory, mine, seen=True).place == made.place


def test_another_users_run(mine: Claimant, shared: Path) -> None:
    """A run that we may not read is refused, with the option and its user's name."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = make_run(shared / "closed", "other")
    folder.chmod(0o700)
    (shared / "out").mkdir()
    put(place_of(shared / "out"), mark_of("other", "a", folder), user="ada")
    with unprivileged():
        refused = refusal(look(shared / "out", mine), mine)
    assert refused is not None
    assert "Permission denied" in refused.message
    assert "of ada on" in refused.message
    assert "--take-over" in refused.hint


MOUNTED = """
import sys
from pathlib import Path
from supervisor.rundir.claiming import claim
from supervisor.rundir.ownership import Claimant, look
directory, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
me = Claimant("me", "b", run_dir, False)
for seen in (False, True):
    made = claim(directory, me, has_checkpoint=seen)
    print(made.place)
print(look(directory, me).standing)
"""


@pytest.mark.root
@pytest.mark.parametrize("options", ["--bind {source}", "-t tmpfs none"])
def test_a_mount_root(mine: Claimant, out: Path, tmp_path: Path, options: str) -> None:
    """Beside a mount root lies another file system: the mark lies inside, from a checkpoint on."""
    source = tmp_path / "disk"
    source.mkdir()
    mount = f"mount {options.format(source=source)} {out}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh",
         sys.executable, "-c", MOUNTED, str(out), str(mine.run_dir)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    inside = out / ".out.supervised-by"
    assert done.stdout.split() == ["None", str(inside), "own"]
    assert not place_of(out).exists()
    if options.startswith("--bind"):
        # The same disk is seen here under its other name.
        found = look(source, replace(mine, run_id="other"))
        assert found.standing is Standing.TAKEN


def test_a_mark_of_what_lies_in_it(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """The mark of a directory inside means nothing for the directory around it."""
    other = asks(make_run(tmp_path / "runs" / "a", "other"), "other")
    (out / "inner").mkdir()
    assert take(out / "inner", other).place == out / ".inner.supervised-by"
    assert look(out, mine).standing is Standing.FREE
    assert take(out, mine).place == place_of(out)


def test_two_marks_that_disagree(mine: Claimant, out: Path, tmp_path: Path) -> None:
    """Both places are read, and the stronger mark counts in either place."""
    other = make_run(tmp_path / "runs" / "a", "other")
    put(place_of(out), mark_of("me", "b", mine.run_dir))
    put(out / ".out.supervised-by", mark_of("other", "a", other))
    assert look(out, mine).standing is Standing.TAKEN
    shutil.rmtree(other)
    made = take(out, mine)
    assert [one.file.path.parent for one in made.taken] == [out]
    assert look(out, mine).standing is Standing.OWN
