"""What GPUs, CUDA, NCCL and rendezvous print when they fail: rows only, special before general."""

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.patterns import LineWeight, Pattern

# A hardware line is right even when a rank trains a few more steps before its next collective.
_HARDWARE_OUTLASTS_STEPS = 3

NETWORK: tuple[Pattern, ...] = (
    Pattern(
        ("collective operation timeout", "before timing out", "timeout at nccl work"),
        r"caught collective operation timeout|ran for \d+ milliseconds before timing out"
        r"|timeout at nccl work",
        Failure.NCCL_TIMEOUT,
        Action.RESTART,
    ),
    Pattern(
        ("watchdog got stuck", "heartbeat monitor timed out", "timed out waiting"),
        r"watchdog got stuck for|heartbeat monitor timed out"
        r"|gloo.{0,200}timed out waiting \d+ms for (?:recv|send) operation",
        Failure.NCCL_TIMEOUT,
        Action.RESTART,
    ),
    Pattern(
        ("nccl error", "ncclunhandledcudaerror"),
        r"nccl error.{0,300}unhandled cuda error|ncclunhandledcudaerror",
        Failure.CUDA_FAULT,
        Action.RESTART,
        LineWeight.CONSEQUENCE,
    ),
    Pattern(
        ("got completion from peer", "got async event"),
        r"NET/IB ?: .{0,80}got (?:completion from peer .{0,200}(?:error|status=[1-9])|async event)",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
    ),
    Pattern(
        (
            "ncclremoteerror",
            "ncclsystemerror",
            "ncclinternalerror",
            "nccl error",
            "nccl communicator was aborted",
        ),
        r"\bnccl(?:Remote|System|Internal)Error\b|\bNCCL error\b|NCCL communicator was aborted",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
        unless=r"no nccl error|retry",
    ),
    Pattern(
        ("nccl warn", "connection closed by remote peer", "gloo/transport"),
        r"NCCL WARN (?:Net|NET/\w+|Call to (?:connect|recv|send|ibv_\w+|bind)|Timeout|socket)\b"
        r"|connection closed by remote peer"
        r"|gloo/transport.{0,300}(?:(?:closed|reset) by peer|broken pipe|read error)",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
    ),
    Pattern(
        ("rendezvous",),
        r"\bRendezvous(?:Closed|Timeout|Connection|State|Graceful\w*)(?:Error|Exit)?\b"
        r"(?!.{0,200}\bnode .{0,80}has been closed gracefully)",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
    ),
    Pattern(
        (
            "server socket",
            "client socket",
            "address already in use",
            "eaddrinuse",
            "diststoreerror",
            "waiting for clients",
            "wait timeout after",
            "socket timeout",
        ),
        r"the (?:server|client) socket (?:has|on) .{0,200}(?:failed to|timed out)"
        r"|(?:errno:? 98|EADDRINUSE|bind).{0,120}address already in use|\bEADDRINUSE\b"
        r"|DistStoreError|waiting for clients\. \d+/\d+ clients joined"
        r"|wait timeout after \d+ms, keys"
        r"|(?:DistStore|Runtime|DistNetwork)\w{0,20}Error: Socket Timeout",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
    ),
    Pattern(
        ("distnetworkerror", "failed to recv, got 0 bytes", "sendbytes failed", "tcpstore"),
        r"DistNetworkError|failed to recv, got 0 bytes|sendBytes failed"
        r"|TCPStore.{0,200}(?:broken pipe|connection reset)",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
    ),
)

DEVICE: tuple[Pattern, ...] = (
    Pattern(
        ("uncorrectable nvlink", "nvlink error", "nvlink_error"),
        r"uncorrectable nvlink error|nvlink error detected|nvml_error_nvlink",
        Failure.NVLINK,
        Action.EXCLUDE,
        LineWeight.STATED,
        outlasts=_HARDWARE_OUTLASTS_STEPS,
    ),
    Pattern(
        ("ecc error", "eccuncorrectable"),
        r"uncorrectable ecc error|double.bit ecc error|cudaErrorECCUncorrectable",
        Failure.GPU_ECC,
        Action.EXCLUDE,
        LineWeight.STATED,
        unless=r"(?:\b0|\bno|zero) (?:\w+ ){0,2}uncorrectable"
        r"|uncorrectable ecc errors? ?[:=]? ?0\b",
        outlasts=_HARDWARE_OUTLASTS_STEPS,
    ),
    Pattern(
        (
            "gpu is lost",
            "gpu_is_lost",
            "fallen off the bus",
            "determine the device handle for gpu",
            "failed to initialize nvml: unknown error",
        ),
        r"\bGPU(?: |_)is(?: |_)lost\b|fallen off the bus|unable to determine the device handle for"
        r"|failed to initialize nvml: unknown error",
        Failure.GPU_LOST,
        Action.EXCLUDE,
        LineWeight.STATED,
        outlasts=_HARDWARE_OUTLASTS_STEPS,
    ),
    Pattern(
        ("gpu requires reset", "reset_required"),
        r"gpu requires reset|nvml_error_reset_required",
        Failure.GPU_NEEDS_RESET,
        Action.EXCLUDE,
        LineWeight.STATED,
        outlasts=_HARDWARE_OUTLASTS_STEPS,
    ),
    Pattern(
        ("out of memory", "outofmemoryerror", "alloc_failed", "errormemoryallocation"),
        r"(?:cuda|hip|gpu)(?: error:| failure(?: \d{1,4})? '?)? ?out of memory"
        r"|\btorch\.(?:cuda\.)?OutOfMemoryError\b|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
        r"|cudaErrorMemoryAllocation",
        Failure.CUDA_OUT_OF_MEMORY,
        Action.RESTART,
    ),
    Pattern(
        (".cu:", "device-side assert", "errorassert"),
        r"\.cuh?:\d{1,6}: .{0,400}\bassertion .{0,400}failed"
        r"|device-side assert triggered|cudaErrorAssert\b",
        Failure.CUDA_DEVICE_ASSERT,
        Action.HOLD,
    ),
    Pattern(
        ("not compiled with cuda", "invalid device ordinal"),
        r"not compiled with cuda enabled|invalid device ordinal",
        Failure.CONFIGURATION,
        Action.HOLD,
        only_before_first_step=True,
    ),
    Pattern(
        (
            "busy or unavailable",
            "no cuda gpus are available",
            "no cuda-capable device",
            "driver initialization failed",
            "cuda unknown error",
            "found no nvidia driver",
            "not yet initialized",
            "driver/library version mismatch",
            "invalid device ordinal",
        ),
        r"device\(s\) is/are busy or unavailable|no cuda gpus are available"
        r"|no cuda-capable device is detected|cuda driver initialization failed"
        r"|cuda unknown error|found no nvidia driver|system not yet initialized"
        r"|driver/library version mismatch|invalid device ordinal",
        Failure.GPU_UNAVAILABLE,
        Action.BACKOFF,
    ),
    Pattern(
        (
            "illegal memory access",
            "illegal instruction was",
            "launch failure",
            "misaligned address",
        ),
        r"an illegal (?:memory access|instruction) was encountered|unspecified launch failure"
        r"|cuda.{0,80}misaligned address",
        Failure.CUDA_FAULT,
        Action.RESTART,
    ),
    Pattern(
        ("cublas_status_", "cudnn_status_", "cusparse_status_", "cusolver_status_", "cufft_"),
        r"\bCU(?:BLAS|DNN|SPARSE|SOLVER)_STATUS_(?!SUCCESS)[A-Z_]{3,60}|cuFFT error: CUFFT_[A-Z_]+",
        Failure.CUDA_FAULT,
        Action.RESTART,
    ),
    Pattern(
        ("cuda error: driver shutting down", "cuda error: context is destroyed"),
        r"cuda error: (?:driver shutting down|context is destroyed)",
        Failure.CUDA_FAULT,
        Action.RESTART,
        LineWeight.CASCADE,  # destructors print it while the interpreter ends
    ),
    Pattern(
        ("cuda error", "hip error", "cuda failure"),
        r"\b(?:cuda|hip) error: (?!success)\w|\bcuda failure (?:\d{1,4}|')",
        Failure.CUDA_FAULT,
        Action.RESTART,
    ),
)
