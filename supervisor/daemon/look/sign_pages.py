"""Signs of life as ranks: looks at a hang judge each of them with the processes below it."""

from collections.abc import Sequence

from supervisor.daemon.look.signs_of_life import Sign
from supervisor.worker.contract import Phase
from supervisor.worker.page import Page


def pages_of(signs: Sequence[Sign]) -> list[Page]:
    """A page for each process, as an attached rank would have it that shows no step."""
    return [_page(sign, len(signs)) for sign in signs]


def _page(sign: Sign, local: int) -> Page:
    last_ns = round(sign.last_at * 1e9)
    return Page(
        pid=sign.pid,
        rank=sign.local_rank,
        world_size=max(sign.world_size, local),
        local_rank=sign.local_rank,
        start_ticks=sign.start_ticks,
        attempt=sign.attempt,
        created_monotonic_ns=0,
        beats=0,
        beat_monotonic_ns=last_ns,
        step=None,
        epoch=None,
        loss=None,
        phase=Phase.STEP,
        phase_since_monotonic_ns=last_ns,
        first_step_monotonic_ns=None,
        last_save_ms=None,
        longest_save_ms=None,
        longest_eval_ms=None,
        longest_compile_ms=None,
        stop_seen=False,
        stacks_armed=False,
        is_second=False,
        outcome=None,
        tells_its_end=False,
        has_ended_in_order=False,
        is_torn=False,
    )
