"""Which slots may be written next. Pure; the model check explores it."""

from collections.abc import Sequence

from supervisor.memory.seal import Seal, SlotState


def writable(seals: Sequence[Seal]) -> list[int]:
    """The slots that may be written next, by index, the best first: never the only whole one."""

    def key(index: int) -> tuple[bool, int]:
        return (seals[index].state is SlotState.WHOLE, seals[index].sequence)

    order = sorted(range(len(seals)), key=key)
    whole = [index for index in order if key(index)[0]]
    # The only whole slot is left out: it may be written only once another is whole.
    return order if len(whole) != 1 else [index for index in order if index not in whole]
