"""How far a run is, in one line, by what is known of it."""

import pytest

from supervisor.cli.show.progress import progress_text, without_pace
from supervisor.core.printed_status import PrintedStatus
from supervisor.core.status import Status

BAR = PrintedStatus(step=370, total=1000, loss=1.23, step_rate=6.0)
PLACE = PrintedStatus(epoch=3, epochs=10, batch=45, batches=1000, loss=0.5)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status(), ""),
        (Status(step=6100, step_rate=1.9, epoch=117, loss=1.2341),
         "step 6,100 at 1.9 steps/s, epoch 117, loss 1.234"),
        (Status(step=370, total=1000, step_rate=6.0, eta_s=105.2, loss=1.5),
         "step 370 of 1,000 (37 %) at 6 steps/s, 1m45s left, loss 1.5"),
        (Status(step=999, total=1000), "step 999 of 1,000 (99 %)"),
        (Status(step=1200, total=1000, eta_s=0.0), "step 1,200"),
        (Status(printed=BAR), "step 370 of 1,000 (37 %) at 6 steps/s, 1m45s left, loss 1.23"),
        (Status(printed=PLACE), "epoch 3 of 10, 45/1,000, loss 0.5"),
        (Status(printed=PrintedStatus(epoch=3, batch=45)), "epoch 3, 45"),
        (Status(step=12, printed=PLACE), "step 12, epoch 3 of 10, loss 0.5"),
        (Status(step=12, epoch=4, loss=0.25, printed=BAR), "step 12, epoch 4, loss 0.25"),
        (without_pace(Status(step=3, total=9, step_rate=1.0, eta_s=6.0)), "step 3 of 9 (33 %)"),
        (without_pace(Status(printed=BAR)), "step 370 of 1,000 (37 %), loss 1.23"),
    ],
)  # fmt: skip
def test_progress_text(status: Status, text: str) -> None:
    """Steps that are known come first; printed ones take their place where none are."""
    assert progress_text(status) == text
