"""What Python, shells and configuration libraries print when a program cannot begin as it is.

These rules count before the attempt's first step only. After it the same line is an `exception`: a
bad record in the data raises the same exceptions.
"""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule

_INSTALL = Advice("The interpreter that runs the script lacks this module.", "python -m pip list")
_USAGE = Advice("The script's arguments are wrong: compare them with what it knows.", "--help")
_CONFIG = Advice("Mend the script's configuration where the message says.")
_PATH = Advice("The path does not exist, or is mistyped or not mounted.", "ls -ld PATH")
_RIGHTS = Advice("This user may not read or write the path.", "ls -ld PATH; id")
PROGRAM = Advice("The script does not fit the library's version, or has a mistake.", "pip list")


def wrong(
    needles: tuple[str, ...],
    regex: str,
    example: str,
    advice: Advice,
    *,
    source: str = "",
    unless: str | None = None,
    only_raised: bool = False,
    only_unhandled: bool = False,
    only_after_a_beginning: bool = False,
) -> Rule:
    """A rule that counts only before the first step, and holds the run there."""
    return Rule(
        needles,
        regex,
        Failure.CONFIGURATION,
        Action.HOLD,
        unless=unless,
        example=example,
        source=source,
        advice=advice,
        only_before_first_step=True,
        only_raised=only_raised,
        only_unhandled=only_unhandled,
        only_after_a_beginning=only_after_a_beginning,
    )


CONFIGURATION: tuple[Rule, ...] = (
    wrong(
        ("importerror", "modulenotfounderror", "syntaxerror", "indentationerror", "taberror"),
        r"^(?:\w+\.)*(?:ImportError|ModuleNotFoundError|SyntaxError|IndentationError|TabError)\b",
        "ModuleNotFoundError: No module named 'flash_attn'",
        _INSTALL,
        source="python/cpython, Lib/importlib/_bootstrap.py",
    ),
    wrong(
        ("no module named ",),
        r"\bpython[\d.]*: (?:error while finding .{0,100})?no module named ",
        "/usr/bin/python3: No module named trainn",
        _INSTALL,
        source="python/cpython, Lib/runpy.py",
    ),
    wrong(
        ("can't open file",),
        r"\bcan't open file '",
        "python: can't open file '/job/trian.py': [Errno 2] No such file or directory",
        _PATH,
        source="python/cpython, Modules/main.c",
    ),
    wrong(
        (
            ": error: ",
            "error: no such ",
            "error: parser key",
            "unrecognized options:",
            "error: unknown command",
            "runtimeenvsetuperror",
            "error: missing",
            "error: invalid value",
        ),
        r"\berror: (?:unrecognized arguments|unknown command|no such command"
        r"|the following arguments are required|argument \S"
        r"|ambiguous option|expected |invalid choice|one of the arguments|parser key"
        r"|no such option|missing (?:option|argument|parameter)|invalid value for"
        r"|got unexpected extra argument)|\bRuntimeEnvSetupError\b"
        r"|\bUnrecognized options: -",
        "train.py: error: unrecognized arguments: --learning_rte 3e-4",
        _USAGE,
        source="python/cpython, Lib/argparse.py",
    ),
    wrong(
        (
            "flags parsing error",
            "unrecognizedflagerror",
            "error: validation failed",
            "could not consume arg",
            "not used by the hfargumentparser",
            "click.exceptions.",
            "hfvalidationerror",
        ),
        r"flags parsing error|\bUnrecognizedFlagError\b|\berror: validation failed: "
        r"|^click\.exceptions\.(?:NoSuchOption|BadParameter|MissingParameter|UsageError|BadOption)"
        r"|\bHFValidationError\b|could not consume arg|not used by the hfargumentparser",
        "ERROR: Could not consume arg: --lrr",
        _USAGE,
        source="google/python-fire, fire/core.py",
    ),
    wrong(
        ("validationerror", "validation error"),
        r"\b(?:pydantic\S{0,60}|jsonschema\S{0,40})ValidationError|\bvalidation errors? for \w",
        "pydantic_core._pydantic_core.ValidationError: 2 validation errors for TrainConfig",
        _CONFIG,
        source="pydantic/pydantic-core, src/errors/validation_exception.rs",
    ),
    wrong(
        (
            "omegaconf",
            "hydra",
            "could not override",
            "is not in struct",
            "primary config",
            "could not find '",
        ),
        r"\bomegaconf\.errors\.|\bhydra\.errors\.|could not override '|is not in struct"
        r"|cannot find primary config|^In '.{1,80}': Could not find '"
        r"|\bConfig(?:Attribute|Key|Composition|Pars\w{1,4})\w*(?:Error|Exception)",
        "omegaconf.errors.ConfigAttributeError: Key 'lrr' is not in struct",
        _CONFIG,
        source="omry/omegaconf, omegaconf/dictconfig.py",
    ),
    wrong(
        ("yaml.", "tomldecodeerror", "configparser."),
        r"\byaml\.\w{1,30}\.\w{1,30}Error|\btomllib\.TOMLDecodeError|\bconfigparser\.\w{1,40}Error",
        "yaml.scanner.ScannerError: mapping values are not allowed here",
        _CONFIG,
        source="yaml/pyyaml, lib/yaml/scanner.py",
    ),
    wrong(
        ("config", "configuration"),
        r"\b(?:Misconfiguration(?:Exception|Error)|DeepSpeedConfigError|ConfigError"
        r"|ConfigurationError|InvalidConfig\w{0,20})\b|\bunknown config (?:key|option)",
        "ValueError: Unknown config key: dropoutt",
        _CONFIG,
        source="karpathy/nanoGPT, configurator.py",
    ),
    wrong(
        (
            "filenotfounderror",
            "notadirectoryerror",
            "isadirectoryerror",
            " not found",
            "environment variable",
        ),
        r"^(?:FileNotFound|NotADirectory|IsADirectory)Error:"
        r"|^(?:\w+\.)*\w{0,40}Error: .{0,200}\bDataset '.{1,200}' (?:error|images not found)"
        r"|^Dataset '.{1,200}' images not found.{0,6}, missing path"
        r"|^OSError: Not found: \""
        r"|^ValueError: .{0,120}\benvironment variable \w{1,80} expected, but"
        r"|^(?:ValueError|RuntimeError|OSError): .{0,20}\b(?:file|path|directory|folder) .{1,200}"
        r"\bnot found\b",
        "FileNotFoundError: [Errno 2] No such file or directory: 'configs/small.yaml'",
        _PATH,
        # Caches, locks and sockets come and go: another process made or removed them.
        unless=r"/tmp/|/\.?cache|\.lock\b|\.incomplete\b|/proc/|/dev/|/sys/|\.tmp\b|\.sock"
        r"|\.distcp\b|/\.metadata\b|checkpoint|ckpt",
        source="python/cpython, Objects/exceptions.c",
    ),
    wrong(
        ("permissionerror",),
        r"^PermissionError: \[Errno (?:13|1)\]",
        "PermissionError: [Errno 13] Permission denied: '/.cache'",
        _RIGHTS,
        source="python/cpython, Objects/exceptions.c",
        unless=r"/proc/|/dev/shm|\.lock\b",
        only_raised=True,
    ),
    wrong(
        ("unexpected keyword argument", "required positional argument", "is not defined"),
        r"^TypeError: .{0,200}\bgot an unexpected keyword argument '"
        r"|^TypeError: .{0,200}\bmissing \d{1,2} required (?:positional|keyword-only) argument"
        r"|^NameError: name '\w{1,80}' is not defined",
        "TypeError: Trainer.__init__() got an unexpected keyword argument 'tokenizr'",
        PROGRAM,
        only_raised=True,
        source="python/cpython, Python/ceval.c",
    ),
    wrong(
        ("start a new process before the", "can't pickle", "can't get ", "unknown objective"),
        r"^An attempt has been made to start a new process before the$"
        r"|^AttributeError: Can't (?:pickle|get) (?:local )?(?:object|attribute)"
        r"|\bXGBoostError: .{0,200}\bUnknown objective",
        "AttributeError: Can't pickle local object 'main.<locals>.collate'",
        PROGRAM,
        source="python/cpython, Lib/multiprocessing/reduction.py",
    ),
    wrong(
        ("has no attribute",),
        r"^AttributeError: (?:partially initialized )?module '.{1,100}' has no attribute '"
        r"|^AttributeError: '(?!NoneType').{1,100}' object has no attribute '",
        "AttributeError: module 'numpy' has no attribute 'bool8'",
        PROGRAM,
        only_raised=True,
        source="python/cpython, Objects/moduleobject.c",
        only_unhandled=True,
    ),
    wrong(
        ("oserror", "valueerror", "notfounderror", "no valid checkpoint", "environmenterror"),
        r"^(?:OSError|EnvironmentError"
        r"|ValueError): (?!.{0,40}couldn't connect).{0,300}(?:does not appear to have a file named"
        r"|error no file named|can't load (?:the )?(?:tokenizer|config\w*|model|image processor"
        r"|feature extractor|processor)|incorrect path_or_model_id|is not a local folder"
        r"|is not the path to a directory containing|no valid checkpoint found in output directory)"
        r"|^(?:\w+\.)*(?:Dataset|DataFiles)NotFoundError\b(?!.{0,200}\b(?:gated|authenticated)\b)",
        "OSError: ./base does not appear to have a file named config.json.",
        _PATH,
        source="huggingface/transformers, src/transformers/utils/hub.py",
        only_raised=True,
    ),
    wrong(
        ("jsondecodeerror",),
        r"^(?:\w+\.)*JSONDecodeError\b",
        "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 12 column 5 (char 301)",
        _CONFIG,
        source="python/cpython, Lib/json/decoder.py",
        only_raised=True,
        only_unhandled=True,
    ),
    # A check of arguments that a program makes by itself. Words such as "expected" and "got" are
    # left out: a batch of data raises them, too.
    wrong(
        ("valueerror", "assertionerror", "notimplementederror", "typeerror", "runtimeerror"),
        r"^(?:ValueError|AssertionError|NotImplementedError|TypeError): .{0,300}"
        r"\b(?:must be|should be|must have|(?:is |are )?not (?:currently |yet )?supported"
        r"|unsupported"
        r"|unrecognized|is not a valid|not recognized|undefined dataset|is required|requires?"
        r"|cannot be used|must not"
        r"|only supports?|does(?: not|n't) support|divisible by|please (?:install|set|specify|pass)"
        r"|check batch related parameters"
        r"|must flatten tensors|does not recognize this architecture|does not have a padding token"
        r"|mutually exclusive|could only be specified|not registered|not found\. available"
        r"|please verify arguments"
        r"|you (?:need|have|must|should)(?: to)?|not found in the base model|does not exist)\b"
        r"|^RuntimeError: (?:Early stopping conditioned on metric|Unknown model|Mesh should not be"
        r" bigger|Pretrained weights .{1,80} not found for model)"
        r"|^AssertionError: Invalid device id|^RuntimeError: Cannot re-initialize CUDA in forked"
        r"|^RuntimeError: .{0,200}\b(?:is not supported"
        r"|not implemented for|must be specified)\b",
        "ValueError: You must specify exactly one of input_ids or inputs_embeds",
        _CONFIG,
        source="huggingface/transformers, src/transformers/models/llama/modeling_llama.py",
        only_raised=True,
        only_unhandled=True,
    ),
    wrong(
        (
            "sbatch: error",
            "srun: error",
            "salloc: error",
            "not enough slots",
            "docker: error",
            "oci runtime",
            "could not open image",
            "error validating",
        ),
        r"^(?:sbatch|srun|salloc): error: .{0,200}\b(?:invalid (?:partition|account|qos|feature"
        r"|generic resource)|more processors requested than|requested node configuration is not"
        r"|invalid job time|memory specification can not be)"
        r"|^There are not enough slots available in the system to satisfy"
        r"|^docker: Error response from daemon: |\bOCI runtime create failed\b.{0,300}"
        r"\b(?:executable file not found|no such file)"
        r"|^FATAL: +could not open image|^error: error validating \"",
        "srun: error: Unable to create step for job 71: More processors requested than permitted",
        _USAGE,
        source="SchedMD/slurm, src/common/slurm_errno.c",
        unless=r"nvidia-container|OCI runtime create failed(?!.{0,300}(?:executable file"
        r"|no such file))|\bi/o timeout\b|\bTLS handshake\b|toomanyrequests",
    ),
    wrong(
        ("syntax error near", "unbound variable"),
        r"^(?:/\S{0,200}|\S{1,80}): line \d+: (?:syntax error near|\w{1,80}: unbound variable)",
        "run.sh: line 4: syntax error near unexpected token `fi'",
        _CONFIG,
        source="GNU bash, parse.y",
    ),
    wrong(
        ("command not found", "permission denied", "no such file or directory", "cannot execute"),
        r"\bcommand not found$|^(?:/bin/)?\w{0,10}sh: .{0,300}: (?:permission denied|not found"
        r"|no such file or directory|cannot execute\b.{0,60})$",
        "bash: line 1: trainn: command not found",
        _PATH,
        source="GNU bash, execute_cmd.c",
    ),
)
