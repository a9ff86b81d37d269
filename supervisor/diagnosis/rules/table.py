"""All rules in order: special ones stand before general ones, and a line counts for the first."""

from supervisor.diagnosis.rules.checkpoints import CHECKPOINTS
from supervisor.diagnosis.rules.collectives import COLLECTIVES
from supervisor.diagnosis.rules.configuration import CONFIGURATION
from supervisor.diagnosis.rules.data import DATA
from supervisor.diagnosis.rules.deaths import CASCADE, DEATHS, WRAPPERS
from supervisor.diagnosis.rules.device import DEVICE
from supervisor.diagnosis.rules.memory import MEMORY
from supervisor.diagnosis.rules.outside import OUTSIDE
from supervisor.diagnosis.rules.own_package import OWN_PACKAGE
from supervisor.diagnosis.rules.rule import Rule
from supervisor.diagnosis.rules.scheduler import SCHEDULER
from supervisor.diagnosis.rules.software import SOFTWARE
from supervisor.diagnosis.rules.start_mistakes import START_MISTAKES
from supervisor.diagnosis.rules.storage import STORAGE
from supervisor.diagnosis.rules.training import TRAINING

TABLE: tuple[Rule, ...] = (
    *SOFTWARE,
    *COLLECTIVES,
    *DEVICE,
    *SCHEDULER,
    *MEMORY,
    *STORAGE,
    *TRAINING,
    *CHECKPOINTS,
    *DATA,
    *OWN_PACKAGE,
    *CONFIGURATION,
    *OUTSIDE,
    *DEATHS,
    *WRAPPERS,
    *CASCADE,
    *START_MISTAKES,
)
AFTER_FIRST_STEP = tuple(row for row in TABLE if not row.only_before_first_step)
