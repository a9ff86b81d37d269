"""What SLURM, PBS, LSF, Kubernetes and clouds print when they end a job: they know who did it."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

# A scheduler announces the end, and the trainer trains on until it has saved.
OUTLASTS_STEPS = 100

_LONGER = Advice(
    "The job's time is over: a job that requeues itself goes on from the newest checkpoint.",
    "supervisor sbatch",
)


def _stated(
    needles: tuple[str, ...],
    regex: str,
    outcome: tuple[Failure, Action],
    example: str,
    source: str,
    advice: Advice | None = None,
) -> Rule:
    failure, action = outcome
    return Rule(
        needles,
        regex,
        failure,
        action,
        Weight.STATED,
        example=example,
        source=source,
        advice=advice,
        outlasts=OUTLASTS_STEPS,
        names_killer=True,
    )


PREEMPTED = (Failure.PREEMPTED, Action.RESUME_LATER)
TIME_LIMIT = (Failure.TIME_LIMIT, Action.RESUME_LATER)
CANCELLED = (Failure.CANCELLED, Action.NONE)
NODE_FAILED = (Failure.KILLED, Action.RESTART)

SCHEDULER: tuple[Rule, ...] = (
    _stated(
        ("due to preemption", "due to job requeue"),
        r"CANCELLED AT .{0,60}DUE TO (?:PREEMPTION|JOB REQUEUE)",
        PREEMPTED,
        "slurmstepd: error: *** JOB 3239 ON gpu21 CANCELLED AT"
        " 2024-02-11T09:44:18 DUE TO PREEMPTION ***",
        "SystemsGenetics/GEMmaker#242",
    ),
    _stated(
        ("due to time limit",),
        r"CANCELLED AT .{0,60}DUE TO TIME LIMIT|job .{0,80}due to time limit",
        TIME_LIMIT,
        "slurmstepd: error: *** STEP 555.0 ON n117 CANCELLED AT"
        " 2024-11-03T22:10:41 DUE TO TIME LIMIT ***",
        "Lightning-AI/pytorch-lightning#20542",
        _LONGER,
    ),
    _stated(
        (
            "walltime",
            "timeout: sending",
            "term_runlimit",
            "run limit",
            "time limit",
            "deadline",
            "execution duration",
            "h_rt",
            "maxruntime",
        ),
        r"\bjob was active longer than specified deadline|\bjob has reached its active deadline"
        r"|PBS: job killed: walltime \d+ exceeded limit|\bTERM_RUNLIMIT\b"
        r"|\bjob .{0,60}exceeded (?:its )?(?:walltime|run ?(?:time )?limit|time limit)"
        r"|\byour notebook was stopped because it exceeded|\bmax allowed execution duration"
        r"|\bexceeded (?:hard|soft) wallclock time|\bMaxRuntimeExceeded\b"
        r"|\btimeout: sending signal \w{1,10} to command",
        TIME_LIMIT,
        "=>> PBS: job killed: walltime 86433 exceeded limit 86400",
        "marbl/canu#1214",
        _LONGER,
    ),
    _stated(
        ("due to node failure", "node failure", "node_fail"),
        r"CANCELLED AT .{0,60}DUE TO NODE FAILURE|^(?:srun|salloc|slurmstepd): error: .{0,120}"
        r"\bnode failure\b|\bNODE_FAIL\b",
        NODE_FAILED,
        "slurmstepd: error: *** STEP 71.0 ON gpu-c14 CANCELLED AT 2025-07-01T03:11:09 DUE TO NODE"
        " FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***",
        "SchedMD/slurm, src/slurmd/slurmstepd/req.c",
    ),
    # A step is also cancelled because one of its tasks died. Only a job is cancelled by a person.
    _stated(
        ("cancelled at ",),
        r"\*\*\* JOB \S{1,60} ON \S{1,200} CANCELLED AT (?!.{0,60}DUE TO)",
        CANCELLED,
        "slurmstepd: error: *** JOB 98012 ON gpu07 CANCELLED AT 2025-03-14T05:12:01 ***",
        "icbi-lab/nextNEOpi#23",
    ),
    Rule(
        ("cancelled at ",),
        r"\*\*\* STEP \S{1,60} ON \S{1,200} CANCELLED AT (?!.{0,60}DUE TO)",
        Failure.CANCELLED,
        Action.NONE,
        Weight.WRAPPER,
        example="slurmstepd: error: *** STEP 98012.0 ON gpu07 CANCELLED AT 2025-03-14T05:12:01 ***",
        source="nextflow-io/nextflow#625",
        outlasts=OUTLASTS_STEPS,
        names_killer=True,
    ),
    _stated(
        (
            "term_owner",
            "qdel",
            "job deleted",
            "term_admin",
            "at the request of the user",
            "condor_rm",
            "deleted at request of",
            "by user request",
            "' was stopped",
        ),
        r"\bTERM_(?:OWNER|ADMIN|FORCE_OWNER|FORCE_ADMIN)\b"
        r"|\bjob (?:\S{1,60} )?deleted at request of\b"
        r"|\bstopping job .{0,80}at the request of the user|\bdeleted by user \S{1,80} \(qdel\)"
        r"|\bPBS: job (?:killed|deleted)(?: by|: qdel)|^Job '\S{1,80}' was stopped$"
        r"|\bvia condor_rm\b|\bTraining job stopped by user request",
        CANCELLED,
        "TERM_OWNER: job killed by owner.",
        "nextflow-io/nextflow#1592",
    ),
    _stated(
        (
            "term_preempt",
            "preempt",
            "spot",
            "termination",
            "interruption",
            "instance-action",
            "imminent",
            "taintmanager",
        ),
        r"\bTERM_PREEMPT\b|\binstance-action\b.{0,40}\bterminate\b"
        r"|\b(?:GCP )?metadata (?:service|server) says termination is imminent"
        r"|\b(?:instance|VM|node|pod|spot|server|job) (?:.{0,60}\b)?(?:is|was|has been|will be"
        r"|being)"
        r" preempted\b|\b(?:spot|preemptible|instance).{0,60}\b(?:interruption|termination)"
        r" (?:notice|warning|signal|event)|\bpreemption (?:notice|signal|event) (?:was )?received"
        r"|\breceived (?:a )?(?:spot|preemption|interruption).{0,30}\b(?:notice|signal|event)"
        r"|\bPreempted in order to admit\b|\bPreempting: Preempted by\b"
        r"|\bPreempted to accommodate a workload\b"
        r"|\bin response to imminent node shutdown\b"
        r"|\bTaintManagerEviction\b|\bstate: PREEMPTED\b|\binstance/preempted = TRUE\b"
        r"|\bcompute\.instances\.preempted\b|\bnode \S{1,60} PREEMPTED\b"
        r"|\bhas state \"PREEMPTED\"|\bEventType=Preempt\b|\bPreemptionByScheduler\b"
        r"|\bTask was preempted\b|\bPreempted\b.{0,120}\bPreempted by (?:pod|job|a) ",
        PREEMPTED,
        "start-worker 2024/12/17 16:03:58 GCP Metadata Service says termination is imminent",
        "mozilla/translations#400",
    ),
    _stated(
        ("low on resource: ephemeral-storage", "exceeds the total limit of containers"),
        r"node was low on resource: ephemeral-storage"
        r"|ephemeral local storage usage exceeds the total limit",
        (Failure.DISK_FULL, Action.HOLD),
        "The node was low on resource: ephemeral-storage. Threshold"
        " quantity: 3221225472, available: 1093412Ki. Container train was using 41208Ki,"
        " request is 0",
        "cloud-ark/kubeplus#1382",
        Advice("The pod's node has no disk space left for it: ask for more.", "df -h"),
    ),
    _stated(
        ("low on resource: memory", "oomkilled", "term_memlimit", "pbs: job killed: "),
        r"node was low on resource: memory|\bOOMKilled\b|\"reason\": ?\"OOMKilled\""
        r"|\bTERM_MEMLIMIT\b"
        r"|PBS: job killed: (?:v?mem|ncpus) .{0,40}exceeded limit",
        (Failure.HOST_OUT_OF_MEMORY, Action.RESTART),
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 88712Ki.",
        "sentry-kubernetes/charts#1470",
    ),
)
