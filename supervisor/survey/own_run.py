"""Whether this run made a checkpoint: by records of saves, its manifest, memory, or its time."""

from supervisor.survey.candidates import Candidate
from supervisor.survey.request import SurveyRequest


def is_own_run(request: SurveyRequest, candidate: Candidate) -> bool:
    """Whether this run made it. Where two runs saved, their records count before all memory."""
    known = candidate.known
    manifest = candidate.claim.manifest if candidate.claim is not None else None
    if known is not None and candidate.is_unchanged and known.proof == "hashes":
        return known.own_run
    # Ask the manifest before memory: another run's checkpoint may have been put under that name.
    if manifest is not None and manifest.run_id is not None:
        return manifest.run_id == request.run_id
    stock = candidate.stock
    is_mine = None if candidate.shelf else request.writers.is_mine(stock.path, stock.mtime)
    if is_mine is not None:
        return is_mine
    if known is not None and (candidate.is_unchanged or known.own_run):
        return known.own_run
    # Another run's checkpoint that has changed since may be this run's by now. A record of saves
    # tells that; without one it stays the other's.
    if known is not None:
        return False
    begun = request.first_attempt_wall
    return begun is not None and stock.mtime >= begun
