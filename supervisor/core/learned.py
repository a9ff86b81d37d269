"""How long things took in this run, from which deadlines are made."""

from dataclasses import dataclass, replace

from supervisor.core.vocabulary import Phase


@dataclass(frozen=True, slots=True)
class Learned:
    """The longest time that each phase took so far, in seconds."""

    longest: tuple[tuple[Phase, float], ...] = ()
    sign_gap_s: float = 0.0
    """The longest time between two signs of life, in any attempt."""
    sign_phase_s: float = 0.0
    """The longest save or load of a loop that gives signs of life."""
    recorded_gap_s: float = 0.0
    """`sign_gap_s` as the ledger has it."""
    recorded_phase_s: float = 0.0

    def get(self, phase: Phase) -> float | None:
        """The longest time seen, or None where none was."""
        return dict(self.longest).get(phase)

    def with_seen(self, phase: Phase, seconds: float) -> "Learned":
        """The times with one more observation."""
        known = dict(self.longest)
        if seconds <= known.get(phase, 0.0):
            return self
        known[phase] = seconds
        return replace(self, longest=tuple(sorted(known.items())))

    def with_signs(self, gap_s: float, phase_s: float) -> "Learned":
        """The times with the longest gap and phase that signs of life have shown."""
        gap_s, phase_s = max(self.sign_gap_s, gap_s), max(self.sign_phase_s, phase_s)
        return replace(self, sign_gap_s=gap_s, sign_phase_s=phase_s)

    def as_recorded(self) -> "Learned":
        """The same, once the ledger has what signs of life have shown."""
        return replace(self, recorded_gap_s=self.sign_gap_s, recorded_phase_s=self.sign_phase_s)
