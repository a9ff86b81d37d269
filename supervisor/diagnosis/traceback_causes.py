"""What a chain of exceptions says about an end, by the rules and by its calls."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from supervisor.core.ending import PROGRAM_ERRORS
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.calls import (
    all_frames,
    is_network,
    is_outermost,
    is_upload,
    loads_checkpoint,
    makes_a_step,
    reads_data,
    shows_a_step,
)
from supervisor.diagnosis.explanation import Explanation
from supervisor.diagnosis.log_line import tells_survival, without_hedge
from supervisor.diagnosis.python_traceback import exception_of
from supervisor.diagnosis.rules.rule import Calls, Hit, Rule, Weight, matches
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.traceback_frames import Frame
from supervisor.diagnosis.traceback_stream import Chain, Raised
from supervisor.diagnosis.user_rules import NO_RULES, UserRule, UserRules

NEGATED = re.compile(
    r"\b(?:no|not|without|never|avoid\w{0,4}|prevent\w{0,4}|against) (?:\w{1,20} )?['\"(]?$",
    re.IGNORECASE,
)
_SECONDARY = re.compile(
    r"^(?:Exception ignored|Error in atexit|Error in sys\.|--- Logging error"
    r"|Task exception was never|Exception in callback|future: <|handle: <)"
)
_IN_THREAD = re.compile(r"^(?:Exception in thread|Thread )")
# Errors that no waiting mends: the address is wrong, or nothing is there.
_ASKED_WRONGLY = re.compile(r"\b40[045]\b|invalid|missing|not found", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:WARN(?:ING)?|warn(?:ing)?)\b.{0,200}(?:fail|error|could not|unable)", re.I
)
_TROUBLE = re.compile(r"fail|error|could not|unable|exception|problem", re.I)
# Python's own warnings stand before tracebacks that have nothing to do with them.
_PYTHON_WARNING = re.compile(r"^\S{1,300}:\d{1,9}: \w{0,60}Warning\b|^  warnings\.warn\(")
# glog's warnings and notes put their head before each line of a traceback.
_WARNED_LABEL = re.compile(r"[WI]\d{3,4} \d\d:\d\d:\d\d")
_EVIDENCE_DETAILS = 3
# With fewer lines before a traceback, a log may be an excerpt.
_BEGINNING_LINES = 1
# A line before a traceback that says that its writer goes on.
_GOES_ON = re.compile(
    r"\bWARN(?:ING)?\b|\b(?:retry|retri|skipp|ignor|continu|recover|carrying on|going on|try again)"
    r"|falling back|non-?fatal|\battempt \d+(?: of |/)\d+\b",
    re.IGNORECASE,
)
# detectron2 and trainers like it.
_TRAINING_ENDS = re.compile(r"ERROR.{0,80}\bException during training\b")
# A loader that is being made, or checks its arguments, reads no data yet.
_CONSTRUCTS = re.compile(
    r"__(?:post_)?init__$|_{0,2}(?:validate|check|create|build|parse|setup|verify)(?:_|$)"
)
_CHECKS = re.compile(r"(?:^|_)(?:validate|check|verify|parse)(?:_|$)")
# A loss scaler says this before each step that it leaves out, the last one too.
_OVERFLOW = re.compile(r"gradient overflow|loss[ _]scale", re.IGNORECASE)
_QUOTED_LEAD = re.compile(
    r"\W{0,6}(?:Q|A|Question|Answer|User|Human|Assistant|Prompt|Response|Sample|Input|Output)\b"
    r".{0,20}:",
)
# Hydra cuts a traceback so that it begins at the user's own function.
_HYDRA = "Error executing job with overrides"
_OF_OTHERS = re.compile(
    r"/multiprocessing/|/concurrent/futures/|distributed_c10d\.py$|/rendezvous\.py$|/elastic/"
    r"|/(?:urllib3|requests|httpx|httpcore|aiohttp|botocore|boto3|gcsfs|s3fs|grpc|websockets?)/"
    r"|/http/client\.py$|/urllib/request\.py$|/ssl\.py$|/socket\.py$|/asyncio/|huggingface_hub/"
)
_ABOUT_THE_SETUP = (Failure.CONFIGURATION, Failure.INCOMPATIBLE_SOFTWARE)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a chain's calls and its place in the log say, which rules may ask for."""

    frames: tuple[Frame, ...]
    loads: bool | None
    is_unhandled: bool
    has_beginning: bool


def explain_chain(
    chain: Chain, table: Sequence[Rule], *, first_step_seen: bool, rules: UserRules = NO_RULES
) -> Explanation | None:
    """The explanation of a chain: its weightiest known exception, then the earliest, else its root.

    A rule of the user's own comes before others of its weight. None if nothing but a `CASCADE` is
    in it.
    """
    frames = all_frames(chain)
    loads = loads_checkpoint(frames) if frames else None
    first_step_seen = first_step_seen or shows_a_step(frames)
    is_unhandled = is_outermost(chain.raised[-1].frames) or chain.lead.startswith(_HYDRA)
    facts = _Facts(frames, loads, is_unhandled, chain.start >= _BEGINNING_LINES)
    known, plain, wrapped = [], [], []
    for order, raised in enumerate(chain.raised):
        row = _rule_of(raised, rules.rules, facts)
        row = _rule_of(raised, table, facts) if row is None else row
        if row is None:
            plain.append((order, raised))
        elif row.weight is Weight.WRAPPER:
            wrapped.append((order, raised))
        elif row.weight is not Weight.CASCADE:
            # A wrong configuration comes last: a failed import may have been handled before another
            # exception was raised.
            late = row.failure in _ABOUT_THE_SETUP
            is_users = isinstance(row, UserRule)
            known.append((row.weight, not is_users, late and not is_users, order, row))
    advice, decides, outlasts, is_users = None, False, 0, False
    weight: Weight
    if known:
        _, is_builtin, _, order, row = min(known, key=lambda entry: entry[:4])
        weight, is_users = row.weight, not is_builtin
        raised, failure = chain.raised[order], row.failure
        action = row.action_now(first_step_seen=first_step_seen)
        advice, decides, outlasts = row.advice, row.full_disk_decides, row.outlasts
        if failure is Failure.DOWNLOAD_FAILED and not is_users and is_upload(frames):
            failure = Failure.EXCEPTION
    elif plain or wrapped:
        raised = (plain or wrapped)[0][1]
        weight = Weight(Weight.CAUSE if plain else Weight.WRAPPER)
        failure = Failure.EXCEPTION
        action = Action.BACKOFF if _is_outside(chain, frames) else Action.RESTART
    else:
        return None
    if failure is Failure.EXCEPTION and not is_users and _is_within_machine(raised):
        action = Action.RESTART
    if _SECONDARY.match(chain.lead) is not None:
        return None
    is_warned = _WARNED_LABEL.search(chain.stream) is not None
    if is_warned or _is_survived(chain.lead, is_unhandled=is_unhandled):
        weight = Weight.MENTION
    elif _IN_THREAD.match(chain.lead) is not None and not known:
        weight = Weight.CONSEQUENCE
    if _TRAINING_ENDS.search(chain.lead) is not None:
        outlasts = max(outlasts, 1)  # its hooks print the last step once more
    return Explanation(
        chain.start,
        chain.end,
        chain.stream,
        weight,
        failure,
        action,
        _evidence(chain, raised),
        raised.exception,
        raised.frame,
        advice,
        decides,
        outlasts,
        is_traceback=True,
        is_unhandled=is_unhandled,
        is_reported=_was_reported(chain.lead),
        is_unsure=_QUOTED_LEAD.match(chain.lead) is not None,
        loads_checkpoint=loads,
        is_users=is_users,
    )


def _evidence(chain: Chain, raised: Raised) -> tuple[str, ...]:
    lines = [raised.line]
    lines.extend(line for line in (raised.frame_line, *raised.details[:_EVIDENCE_DETAILS]) if line)
    if chain.raised[-1] is not raised:
        lines.append(chain.raised[-1].line)
    return tuple(lines)


def _rule_of(raised: Raised, table: Sequence[Rule], facts: _Facts) -> Rule | None:
    """The rule that matches an exception's line, else the first that matches a line below it."""
    found = next(_fitting(matches(without_hedge(raised.line), table), facts), None)
    if found is not None and found.rule.weight <= Weight.CAUSE and not raised.line.endswith(":"):
        return found.rule
    is_message = raised.line.endswith(":")  # the message begins on the next line
    for detail in raised.details:
        text = without_hedge(detail.strip())
        for hit in _fitting(matches(text, table), facts):
            is_raised = is_message or exception_of(text.lstrip()) is not None
            is_closer = found is None or hit.rule.weight < found.rule.weight
            # A compiler's exception is a wrapper if the message itself names another exception.
            is_inner = is_message and exception_of(text.lstrip()) is not None
            is_inner = is_inner and found is not None and hit.rule.weight <= found.rule.weight
            if (
                (is_closer or is_inner)
                and _is_meant(hit)
                and (is_raised or not hit.rule.only_raised)
            ):
                return hit.rule
    return None if found is None else found.rule


def _fitting(hits: Iterator[Hit], facts: _Facts) -> Iterator[Hit]:
    """The hits whose rule allows what the calls were doing.

    A pickle that ends early is as often a data set's cache, or a pipe of another process.
    """
    for hit in hits:
        if hit.rule.only_before_first_step and shows_a_step(facts.frames):
            continue
        if hit.rule.only_after_a_beginning and (
            not facts.has_beginning or makes_a_step(facts.frames)
        ):
            continue
        if hit.rule.only_unhandled and not (
            facts.is_unhandled and _is_the_scripts_own(facts.frames)
        ):
            continue
        match hit.rule.calls:
            case Calls.ANY:
                yield hit
            case Calls.LOADING if facts.loads:
                yield hit
            case Calls.READING if facts.loads is False and reads_data(facts.frames):
                yield hit
            case Calls.NOT_READING if _does_its_own_work(facts):
                yield hit
            case Calls.CHECKING if facts.frames and _CHECKS.search(facts.frames[-1].function):
                yield hit
            case Calls.LOADING_IF_KNOWN if facts.loads is not False:
                yield hit


def _does_its_own_work(facts: _Facts) -> bool:
    """Whether known calls neither read training data nor load a checkpoint."""
    if not facts.frames or facts.loads:
        return False
    return _CONSTRUCTS.match(facts.frames[-1].function) is not None or not reads_data(facts.frames)


def _is_the_scripts_own(frames: Sequence[Frame]) -> bool:
    """Whether the calls are those of one process alone: none that others or a network can fail."""
    return bool(frames) and not any(_OF_OTHERS.search(frame.path) for frame in frames)


def _is_outside(chain: Chain, frames: Sequence[Frame]) -> bool:
    """Whether an unknown exception came from an upload or from the network."""
    root = chain.raised[0]
    if root.exception.rpartition(".")[2] in PROGRAM_ERRORS or _ASKED_WRONGLY.search(root.line):
        return False
    return is_upload(frames) or is_network(root.frames)


def _is_within_machine(raised: Raised) -> bool:
    """Whether the exception is about another process of this machine, such as a dead worker."""
    return bool(raised.frames) and "/multiprocessing/" in raised.frames[-1].path


def _is_survived(lead: str, *, is_unhandled: bool) -> bool:
    """Whether the line before a traceback says that its writer goes on."""
    if is_unhandled or _PYTHON_WARNING.match(lead) is not None:
        return False
    if _OVERFLOW.search(lead) is not None:
        return False
    return _GOES_ON.search(lead) is not None and read_step(lead) is None


def _was_reported(lead: str) -> bool:
    """Whether the line before a traceback reports it as a problem that the writer survived."""
    if _PYTHON_WARNING.match(lead) is not None:
        return False
    return _REPORTED.search(lead) is not None or (
        tells_survival(lead) and _TROUBLE.search(lead) is not None
    )


def _is_meant(hit: Hit) -> bool:
    """Whether a line below an exception belongs to its message, and reports nothing survived."""
    is_heavy = hit.rule.weight <= Weight.CONSEQUENCE or hit.rule.weight is Weight.TIMEOUT
    if not is_heavy or tells_survival(hit.text):
        return False
    return NEGATED.search(hit.text[: hit.start]) is None
