"""What checkpoints a run has, on the disk and in memory, and which is the newest proven good.

It writes only the verdict of a snapshot that had none, and what `file_clock.py` needs to measure.
"""

from collections.abc import Callable
from dataclasses import replace

from supervisor.checkpoint import set_aside, siblings, sizes
from supervisor.checkpoint.best import mark_best, read_best
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.named_step import NamedSteps
from supervisor.checkpoint.own_format import find_other_format
from supervisor.checkpoint.records import NO_OPTIMIZER, NOT_FINITE, CheckpointEntry
from supervisor.checkpoint.siblings import Families, Member
from supervisor.checkpoint.validate import Validation, is_resumable, prove
from supervisor.core.vocabulary import Tier
from supervisor.rundir.save_writers import read_writers
from supervisor.survey import candidates, memory_tier
from supervisor.survey.answer import Survey
from supervisor.survey.candidates import Candidate
from supervisor.survey.elsewhere.sightings import look_in_time
from supervisor.survey.file_clock import clock_ahead_s
from supervisor.survey.missing import find_missing, find_unmounted
from supervisor.survey.own_run import is_own_run
from supervisor.survey.places import joined, newest_place, read_places
from supervisor.survey.request import SurveyRequest
from supervisor.survey.torn_first import find_torn_first
from supervisor.system.mounts import mount_point

# How long a foreign checkpoint must lie untouched while a process that could write it is alive.
QUIET_S = 10.0
# The next older checkpoint may be damaged, and say nothing of its series. So look at three.
_OLDER_LOOKED_AT = 3
NOT_LOOKED_AT = "not looked at: a newer checkpoint is valid"


OnRead = Callable[[int, int], None]


def survey(request: SurveyRequest, looked: OnRead | None = None) -> Survey:
    """List the checkpoints, prove those not remembered, and choose the newest valid one.

    A checkpoint is this run's own if its manifest names the run, or if it is remembered as such.
    Without either, it is this run's own if it is newer than the run's first attempt. `looked` is
    called before each checkpoint with how many were looked at, and of how many. Raises OSError if
    the directory cannot be read.
    """
    if request.run_dir is not None:
        request = replace(request, writers=read_writers(request.run_dir))
    groups = read_places(request, lambda asked: _on_disk(asked, looked))
    shelved = [_entry(request, one, _shelved(one)) for one in candidates.shelves(request)]
    on_disk = joined(request, groups, shelved)
    shelved = mark_best([*on_disk, *shelved])[len(on_disk) :]
    durable = {e.step for e in on_disk if e.step is not None and e.candidate and is_resumable(e)}
    entries = memory_tier.merge(on_disk, memory_tier.find_snapshots(request), durable)
    newest_valid = next((e for e in entries if e.candidate and is_resumable(e)), None)
    entries += shelved
    place = newest_place(request, entries)
    mount = mount_point(place)
    exists = any(_is_something(request, entry) for entry in entries)
    missing = find_missing(request, entries)
    search = request.search if not exists and missing is None else None
    return Survey(
        entries=tuple(entries),
        newest_valid=newest_valid,
        exists=exists,
        missing=missing,
        torn_first=find_torn_first(request, entries),
        mount=None if mount is None else str(mount),
        unmounted=find_unmounted(request, place),
        sightings=None if search is None else look_in_time(search),
        clock_ahead_s=clock_ahead_s(place) if request.reads_clock else None,
        undecided=tuple(
            entry.path
            for entry in entries
            if request.existing is None
            and not entry.own_run
            and entry.tier == Tier.DISK
            and entry.path.parent == request.directory
        ),
    )


def _is_something(request: SurveyRequest, entry: CheckpointEntry) -> bool:
    """Whether a start from nothing would lose it.

    A checkpoint that the last fresh start set aside is lost already.
    """
    if entry.tier == Tier.SET_ASIDE:
        begun = request.begun_wall
        return entry.own_run and (begun is None or entry.mtime >= begun)
    return entry.own_run or entry.candidate


def _on_disk(request: SurveyRequest, looked: OnRead | None) -> list[CheckpointEntry]:
    """The checkpoints of the directory, newest first."""
    found = candidates.find(request, request.directory)
    families = Families([_member(request, one) for one in found if not _is_ours(one)])
    named_steps = NamedSteps(families)
    entries: list[CheckpointEntry] = []
    is_enough = False
    for index, candidate in enumerate(found):
        if looked is not None:
            looked(index, len(found))
        if is_enough and not request.thorough and not candidate.is_unchanged:
            entries.append(_entry(request, candidate, _unproven(candidate, NOT_LOOKED_AT)))
            continue
        verdict = _judge(request, candidate, families, named_steps)
        if verdict.valid is False and verdict.bytes == 0 and verdict.fingerprint == "":
            continue  # it vanished while it was read
        entry = _entry(request, candidate, verdict, _names_best(candidate))
        entries.append(entry)
        is_enough = is_enough or (entry.candidate and is_resumable(entry))
    return entries


def _judge(
    request: SurveyRequest, candidate: Candidate, families: Families, named_steps: NamedSteps
) -> Validation:
    known, stock = candidate.known, candidate.stock
    if known is not None and candidate.is_unchanged:
        return _recall(candidate)
    if candidate.problem is not None:
        return _unproven(candidate, candidate.problem)
    is_ours = candidate.claim is not None and candidate.claim.ours
    if not is_ours and not request.quiet and not stock.is_older_than(QUIET_S):
        return _unproven(
            candidate, f"it may still be being written: it changed less than {QUIET_S:g} s ago"
        )
    verdict = prove(stock, expect_manifest=known is not None and known.proof == "hashes")
    if not verdict.valid or verdict.ours:
        return verdict
    member = _member(request, candidate)
    try:
        reason = _find_gap(member, candidate, verdict, families)
        other_step = named_steps.find_other_step(member) if reason is None else None
    except OSError as error:
        return _unproven(candidate, candidates.said(error))
    if reason is not None:
        return _with_reason(verdict, reason)
    if other_step is not None:
        # Not to be remembered: the next save may show that the names count something else.
        return _with_reason(verdict, other_step)._replace(rememberable=False)
    if verdict.reason is None and siblings.resets_optimizer(member, families):
        return _with_reason(verdict, NO_OPTIMIZER, valid=True)
    return verdict


def _find_gap(
    member: Member, candidate: Candidate, verdict: Validation, families: Families
) -> str | None:
    """What a foreign checkpoint lacks, compared with its series and its past. Raises OSError."""
    known, stock = candidate.known, candidate.stock
    if known is not None and known.valid:
        change = siblings.unexplained_change(stock, dict(verdict.hashes), known)
        if change is None and verdict.proof == "files":
            change = sizes.has_shrunk(stock, known.bytes)
        if change is not None:
            return change
    if siblings.lacks_optimizer(member, families):
        return (
            "it has no optimizer state, but the other checkpoints have: no run can resume from it"
        )
    neighbours = [one.stock for one in families.neighbours(member)]
    for tool in TOOLS:
        mixed = None if tool.find_mixed is None else tool.find_mixed(stock, neighbours)
        if mixed is not None:
            return mixed
    before = families.before(member)
    if before is None:
        return None
    missing = _find_missing_file(member, before)
    if missing is not None:
        return f"{missing} is missing, which {before.stock.path.name} has"
    if verdict.proof != "files":
        return None
    older = families.older(member, _OLDER_LOOKED_AT)
    return find_other_format(member, older) or sizes.find_shrunk(member, before)


def _find_missing_file(member: Member, before: Member) -> str | None:
    """The first that a checkpoint lacks, but for those of which it says how many there must be."""
    missing = siblings.lacks(member, before)
    for tool in TOOLS:
        if missing is None:
            break
        told = None if tool.told_files is None else tool.told_files(member.stock, missing)
        if told is not None:
            missing = siblings.lacks(member, before, told)
    return missing


def _member(request: SurveyRequest, candidate: Candidate) -> Member:
    return Member(candidate.stock, candidate.position.step, is_own_run(request, candidate))


def _names_best(candidate: Candidate) -> str | None:
    """The names that its own record calls the best; None if that cannot be read now."""
    known = candidate.known
    if known is not None and candidate.is_unchanged and known.names_best is not None:
        return known.names_best
    try:
        return read_best(candidate.stock)
    except OSError:
        return None


def _entry(
    request: SurveyRequest, candidate: Candidate, verdict: Validation, names_best: str | None = None
) -> CheckpointEntry:
    own_run = is_own_run(request, candidate)
    is_on_disk = candidate.shelf is None
    stock, position = candidate.stock, candidate.position
    return CheckpointEntry(
        path=stock.path,
        name=candidate.name,
        step=position.step,
        epoch=position.epoch,
        kind=position.kind,
        bytes=stock.total_bytes,
        valid=verdict.valid,
        proof=verdict.proof,
        reason=verdict.reason,
        fingerprint=verdict.fingerprint,
        hashes=verdict.hashes,
        ours=verdict.ours or _is_ours(candidate),
        own_run=own_run,
        candidate=is_on_disk and (own_run or request.existing == "use"),
        finite=verdict.finite,
        mtime=stock.mtime,
        remembered=candidate.is_unchanged,
        rememberable=verdict.rememberable,
        tier=Tier.DISK if is_on_disk else Tier.SET_ASIDE,
        pinned=is_on_disk and candidate.name in request.pins,
        names_best=names_best,
    )


def _is_ours(candidate: Candidate) -> bool:
    if candidate.claim is not None:
        return candidate.claim.ours
    return candidate.known is not None and candidate.known.proof == "hashes"


def _recall(candidate: Candidate) -> Validation:
    known = candidate.known
    assert known is not None
    return Validation(
        valid=known.valid,
        proof=known.proof,
        reason=known.reason,
        hashes=known.hashes,
        bytes=known.bytes,
        fingerprint=known.fingerprint,
        finite=False if known.reason == NOT_FINITE else None,
        ours=known.proof == "hashes",
        rememberable=True,
    )


def _shelved(candidate: Candidate) -> Validation:
    """The verdict of a checkpoint that was set aside: from memory, or from the reason beside it.

    Its files are not read again.
    """
    reason = set_aside.read_reason(candidate.stock.path)
    if candidate.is_unchanged:
        verdict = _recall(candidate)
        return verdict if reason is None else _with_reason(verdict, reason, valid=verdict.valid)
    return Validation(
        valid=False if candidate.shelf == set_aside.INVALID else None,
        proof=None,
        reason=reason,
        fingerprint=candidate.stock.fingerprint,
    )


def _unproven(candidate: Candidate, reason: str) -> Validation:
    return Validation(
        valid=None, proof=None, reason=reason, fingerprint=candidate.stock.fingerprint
    )


def _with_reason(verdict: Validation, reason: str, *, valid: bool | None = False) -> Validation:
    return verdict._replace(valid=valid, reason=reason)
