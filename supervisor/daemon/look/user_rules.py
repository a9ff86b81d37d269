"""The user's own rules as a daemon begins with them. It goes on without a file that is broken."""

from supervisor.config.model import RunConfig
from supervisor.diagnosis.rules_file import RulesFileError, read_rules
from supervisor.diagnosis.user_rules import NO_RULES, UserRules


def rules_of(config: RunConfig) -> tuple[UserRules, str | None]:
    """The rules, and None; or no rules, and why the file cannot be used any more."""
    try:
        return read_rules(config.diagnosis.rules), None
    except RulesFileError as error:
        return NO_RULES, error.message
