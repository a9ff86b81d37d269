"""What trainers, Python, launchers and shells print when they fail: rows only, special first."""

from supervisor.core.vocabulary import Action, ExitCode, Failure
from supervisor.diagnosis.patterns import LineWeight, Pattern

TRAINING: tuple[Pattern, ...] = (
    Pattern(
        ("nan", "infinite", "finite", "inf"),
        r"\bfound nan\b|\bnan (?:or inf )?(?:found|detected|encountered) in\b"
        r"|\bloss\b.{0,40} (?:is|was|became|becomes|has become|went|turned) (?:to )?"
        r"(?:nan|[+-]?inf\b|infinite|non-?finite|not finite)"
        r"|\bnon-?finite (?:loss|gradient|grad|value|weight|parameter)s?\b"
        r"|\bfor gradients from .{0,40}is non-finite"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception|Exit)\b.{0,100}\bloss ?[:=(] ?(?:nan|[+-]?inf)\b"
        r"|\breturned nan values in its \d{1,3}th output|\bnan loss\b"
        r"|probability tensor contains either|but found invalid values:.{0,200}\bnan\b",
        Failure.NON_FINITE_LOSS,
        Action.ROLLBACK,
        unless=r"\b(?:no|without|not|0) (?:nan|inf|non-?finite|infinite)\b|\bnan ?= ?0\b",
    ),
    Pattern(
        ("loss scale",),
        r"loss scale already at minimum|minimum loss scale reached",
        Failure.NON_FINITE_LOSS,
        Action.ROLLBACK,
    ),
    Pattern(
        ("loss spike", "loss_spike", "lossspike"),
        r"\bloss[ _]?spike(?:error)?\b.{0,40}(?:detected|at|:)|\bdetected .{0,20}loss spike",
        Failure.LOSS_SPIKE,
        Action.RESTART,
    ),
    Pattern(
        ("weights only load failed",),
        r"weights only load failed",
        Failure.CONFIGURATION,
        Action.HOLD,
        only_before_first_step=True,
    ),
    Pattern(
        (
            "pytorchstreamreader",
            "central directory",
            "safetensor",
            "metadataincompletebuffer",
            "headertoolarge",
            "headertoosmall",
            "invalidheader",
            "invalid load key",
            "unpicklingerror",
            "pickle data was truncated",
            "unexpected eof",
            "file might be corrupted",
            "file is corrupted",
            ".distcp",
            ".metadata",
            "ran out of input",
            "badzipfile",
        ),
        r"pytorchstreamreader failed|failed finding central directory"
        r"|safetensor\w*:? ?error while deserializing|metadataincompletebuffer"
        r"|header too (?:large|small)"
        r"|headertoo(?:large|small)|invalidheader\w*|invalid load key|\bunpicklingerror\b"
        r"|pickle data was truncated|unexpected eof, expected \d|file might be corrupted"
        r"|eoferror: ran out of input|\bbadzipfile\b"
        r"|\b(?:checkpoint|weights?|model|state|shard)\b.{0,60}\bfile is corrupted"
        r"|FileNotFoundError: .{0,40}no such file or directory: .{0,300}(?:\.distcp|/\.metadata)\b"
        r"|filesystem error: .{0,60}no such file or directory.{0,300}\.distcp\b",
        Failure.CHECKPOINT_CORRUPT,
        Action.ROLLBACK,
    ),
)

CONFIGURATION: tuple[Pattern, ...] = tuple(
    Pattern(needles, regex, Failure.CONFIGURATION, Action.HOLD, only_before_first_step=True)
    for needles, regex in (
        # NameError, TypeError and AttributeError are left out on purpose. They depend on data and
        # state as often as on a mistake. A repeated death is held by its signature anyway.
        (
            ("importerror", "modulenotfounderror", "syntaxerror", "indentationerror", "taberror"),
            r"^(?:\w+\.)*(?:ImportError|ModuleNotFoundError|SyntaxError|IndentationError|TabError)\b",
        ),
        (
            ("no module named ",),
            r"\bpython[\d.]*: (?:error while finding .{0,100})?no module named ",
        ),
        (("can't open file",), r"\bcan't open file '"),
        (
            (": error: ", "error: no such option", "error: missing", "error: invalid value"),
            r"\berror: (?:unrecognized arguments|the following arguments are required|argument \S"
            r"|ambiguous option|expected |invalid choice|one of the arguments|parser key"
            r"|no such option|missing (?:option|argument|parameter)|invalid value for"
            r"|got unexpected extra argument)",
        ),
        (
            ("flags parsing error", "could not consume arg", "not used by the hfargumentparser"),
            r"flags parsing error|could not consume arg|not used by the hfargumentparser",
        ),
        (
            ("validationerror", "validation error"),
            r"\b(?:pydantic\S{0,60}|jsonschema\S{0,40})ValidationError|\bvalidation errors? for \w",
        ),
        (
            ("omegaconf", "hydra", "could not override", "is not in struct", "primary config"),
            r"\bomegaconf\.errors\.|\bhydra\.errors\.|could not override '|is not in struct"
            r"|cannot find primary config"
            r"|\bConfig(?:Attribute|Key|Composition)\w*(?:Error|Exception)",
        ),
        (
            ("yaml.", "tomldecodeerror", "configparser."),
            r"\byaml\.\w{1,30}\.\w{1,30}Error|\btomllib\.TOMLDecodeError|\bconfigparser\.\w{1,40}Error",
        ),
        (
            ("config", "configuration"),
            r"\b(?:Misconfiguration(?:Exception|Error)|DeepSpeedConfigError|ConfigError"
            r"|ConfigurationError|InvalidConfig\w{0,20})\b|\bunknown config (?:key|option)",
        ),
        (
            (".yaml", ".yml", ".toml", ".ini", ".cfg"),
            r"FileNotFoundError: .{0,300}no such file or directory: .{0,300}"
            r"\.(?:ya?ml|toml|ini|cfg)'",
        ),
        (("syntax error near",), r"^(?:/\S{0,200}|\S{1,80}): line \d+: syntax error near"),
        (("error(s) in loading state_dict",), r"error\(s\) in loading state_dict"),
        (
            (
                "command not found",
                "permission denied",
                "no such file or directory",
                "cannot execute",
            ),
            r"\bcommand not found$|^(?:/bin/)?\w{0,10}sh: .{0,300}: (?:permission denied|not found"
            r"|no such file or directory|cannot execute\b.{0,60})$",
        ),
    )
)

CASCADE: tuple[Pattern, ...] = tuple(
    Pattern((needle,), regex, Failure.UNKNOWN, Action.RESTART, LineWeight.CASCADE)
    for needle, regex in (
        ("taking the entire process down", r"taking the entire process down"),
        (
            "entire process down",
            r"take the entire process down|bring(?:ing)? the entire process down",
        ),
        ("might run on corrupted", r"subsequent gpu operations might run on corrupted"),
        ("childfailederror", r"\bChildFailedError\b"),
        ("signalexception", r"\bSignalException\b"),
        ("processraisedexception", r"\bProcess(?:Raised|Exited)Exception\b"),
        ("calledprocesserror", r"\bCalledProcessError\b"),
        ("forcefully exiting via", r"unable to shutdown process \d+ via"),
        ("closing signal", r"sending process \d+ closing signal"),
        ("exitcode: ", r"elastic.{0,60}failed \(exitcode: 1\)"),
    )
)

# torchrun ends the other ranks itself. The rank that it lists as the root cause died before that.
FIRST_DEATH_HEADER = "Root Cause (first observed failure)"
FIRST_DEATHS = {
    -9: (Failure.KILLED, Action.RESTART),
    -11: (Failure.SEGFAULT, Action.RESTART),
    -7: (Failure.SEGFAULT, Action.RESTART),
    ExitCode.PREEMPTED: (Failure.PREEMPTED, Action.RESTART),
    ExitCode.CONFIGURATION: (Failure.CONFIGURATION, Action.HOLD),
}

DEATHS: tuple[Pattern, ...] = (
    Pattern(
        ("segmentation fault", "sigsegv", "exitcode: -11", "code = -11", "segfault at"),
        r"\bsegmentation fault\b|\bSIGSEGV\b|\b(?:exit|return )code ?[:=] -11\b"
        r"|\bsegfault at [0-9a-f]",
        Failure.SEGFAULT,
        Action.RESTART,
    ),
    Pattern(
        (
            "aborted",
            "sigabrt",
            "exitcode: -6",
            "exitcode  : -6",
            "double free",
            "free():",
            "malloc():",
            "stack smashing",
            "corrupted size",
            "assertion `",
            "terminate called after",
        ),
        r"\baborted(?: \(core dumped\)|$)|\bSIGABRT\b|\bexitcode {0,3}: -6\b"
        r"|double free or corruption"
        r"|\bfree\(\): invalid|\bmalloc\(\): |stack smashing detected|corrupted size vs"
        r"|: assertion `.{0,300}' failed|\bterminate called after throwing",
        Failure.ABORTED,
        Action.RESTART,
        LineWeight.DEATH,
    ),
    Pattern(
        ("sigbus", "bus error", "exitcode: -7", "exitcode  : -7"),
        r"\bSIGBUS\b|\bbus error\b|\bexitcode {0,3}: -7\b",
        Failure.SEGFAULT,
        Action.RESTART,
        LineWeight.DEATH,
    ),
    Pattern(
        ("killed", "sigkill", "exitcode: -9", "code = -9"),
        r"^killed$|: line \d+: +\d+ killed\b|task \d+: killed\b|\bsignal 9 \(sigkill\) received by"
        r"|terminated with signal sigkill|<signals\.sigkill: 9>|\b(?:exit|return )code ?[:=] -9\b",
        Failure.KILLED,
        Action.RESTART,
        LineWeight.DEATH,
    ),
    Pattern(
        ("exitcode  : 78", "exitcode: 78"),
        r"\bexitcode {0,3}: 78\b",
        Failure.CONFIGURATION,
        Action.HOLD,
        LineWeight.DEATH,
    ),
    Pattern(
        ("exitcode  : 75", "exitcode: 75"),
        r"\bexitcode {0,3}: 75\b",
        Failure.PREEMPTED,
        Action.RESTART,
        LineWeight.DEATH,
    ),
)
