"""What GPUs, drivers, CUDA, XLA and TensorFlow print when a device fails.

Words about broken hardware count only as the driver, NVML or CUDA prints them: a text that speaks
of a lost GPU is no evidence of one.
"""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

# A hardware line is right even when a rank trains a few more steps before its next collective.
_HARDWARE_OUTLASTS_STEPS = 3

_HEALTH = Advice(
    "The driver says that this GPU is broken: run on another one, and have this one looked at.",
    "nvidia-smi -q -d ECC,PAGE_RETIREMENT,ROW_REMAPPER",
)
_RESET = Advice(
    "The GPU works again after a reset: end its processes, then reset it or reboot.",
    "nvidia-smi --gpu-reset",
)
_SMALLER = Advice(
    "Use a smaller batch or shorter sequences, or look who else uses this GPU.", "nvidia-smi"
)
_NOT_SEEN = Advice("Look whether the driver sees the GPU and who holds it.", "nvidia-smi")


def _hardware(
    needles: tuple[str, ...],
    regex: str,
    failure: Failure,
    example: str,
    source: str,
    advice: Advice = _HEALTH,
    unless: str | None = None,
) -> Rule:
    return Rule(
        needles,
        regex,
        failure,
        Action.EXCLUDE,
        Weight.STATED,
        unless=unless,
        example=example,
        source=source,
        advice=advice,
        outlasts=_HARDWARE_OUTLASTS_STEPS,
    )


DEVICE: tuple[Rule, ...] = (
    _hardware(
        ("nvlink error", "nvlink_error", "over nvlink", "nvlink sharp"),
        r"\bFailed to bind NVLink SHARP"
        r"|\bCUDA_ERROR_NVLINK_UNCORRECTABLE\b"
        r"|\b(?:CUDA_ERROR_CONTAINED|CUDA error): .{0,60}\bover nvlink|\bcuda (?:error"
        r"|failure)\b.{0,20}uncorrectable nvlink error|\bnvml_error_nvlink\w*\b"
        r"|\bNVRM: .{0,80}\bnvlink\b.{0,40}\b(?:fatal )?error",
        Failure.NVLINK,
        "RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution",
        "MIC-DKFZ/nnUNet#1519",
        Advice("A link between GPUs failed: reset the GPUs or reboot.", "nvidia-smi nvlink -e"),
    ),
    _hardware(
        ("ecc error", "eccuncorrectable", "ecc_uncorrectable"),
        r"\bCUDA_ERROR_ECC_UNCORRECTABLE\b|\bcuda (?:error"
        r"|failure)\b.{0,20}uncorrectable ecc error|cudaErrorECCUncorrectable"
        r"|\bNVRM: .{0,100}\b(?:double.bit|uncorrectable) ecc error",
        Failure.GPU_ECC,
        "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
        "kohya-ss/sd-scripts#1434",
        unless=r"(?:\b0|\bno|zero) (?:\w+ ){0,2}uncorrectable"
        r"|uncorrectable ecc errors? ?[:=]? ?0\b",
    ),
    _hardware(
        (
            "gpu requires reset",
            "gpu requires a reset",
            "gpu reset is required",
            "reset_required",
            "resetrequired",
        ),
        r"\bgpu requires (?:a )?reset\b|\bGPU reset is required\b|nvml_?error_?reset_?required",
        Failure.GPU_NEEDS_RESET,
        "pynvml.NVMLError_ResetRequired: GPU requires reset",
        "leptonai/gpud#1133",
        _RESET,
    ),
    _hardware(
        (
            "gpu is lost",
            "gpu_is_lost",
            "gpuislost",
            "fallen off the bus",
            "determine the device handle for gpu",
            "failed to initialize nvml: unknown error",
        ),
        r"\bNVML_?Error_?GPU_?Is_?Lost\b|\bNVRM: .{0,200}fallen off the bus"
        r"|\bunable to determine the device handle for gpu"
        r"|^failed to initialize nvml: unknown error"
        r"|\bNVML\w*(?:Error\w*)?: .{0,40}\bGPU is lost\b",
        Failure.GPU_LOST,
        "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.",
        "leptonai/gpud#1209",
        Advice("The driver has lost this GPU: reboot the machine.", "nvidia-smi"),
    ),
    Rule(
        (
            "out of memory",
            "outofmemoryerror",
            "alloc_failed",
            "errormemoryallocation",
            "resource_exhausted",
            "resourceexhausted",
            "oom when allocating",
            "cuda_error_out_of_memory",
            "no executable batch size",
            "std::bad_alloc: ",
            *("pt_devmem", "failed to alloc device"),
        ),
        r"(?:cuda|hip|gpu|xpu|npu|mps backend)(?: error:| failure(?: \d{1,4})? '?)? ?out of memory"
        r"|\b(?:torch|cupy)\.(?:\w+\.){0,3}OutOfMemoryError\b|\bcuda driver error: out of memory"
        r"|\bcudaMalloc(?:Async| retry)? failed: out of memory|\bPT_DEVMEM Allocation failed"
        r"|\bTDRV:\S{1,60} +Failed to alloc DEVICE memory"
        r"|\bstd::bad_alloc: (?:out_of_memory: )?CUDA error|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
        r"|cudaErrorMemoryAllocation"
        r"|\bRESOURCE_EXHAUSTED: .{0,80}\b(?:out of memory|allocat|hbm)"
        r"|\b(?:Xla)?RuntimeError: RESOURCE_EXHAUSTED\b"
        r"|\bResourceExhausted\b.{0,200}\b(?:OOM|allocat|memory)|\bResourceExhaustedError\b"
        r"|\bOut of memory error on GPU \d|\bError out of memory at line \d"
        r"|\bCUDA_ERROR_OUT_OF_MEMORY\b"
        r"|\bno executable batch size found\b"
        r"|\bOOM when allocating tensor\b|\bran out of memory in memory space hbm",
        Failure.CUDA_OUT_OF_MEMORY,
        Action.RESTART,
        unless=r"\bkill(?:ed)? process\b|no space left|too many open files",
        example="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB.",
        source="modelscope/FunASR#863",
        advice=_SMALLER,
    ),
    Rule(
        ("device >= 0 && device < num_gpus", "mig"),
        r"device >= 0 && device < num_gpus INTERNAL ASSERT"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception): .{0,200}\bMIG\b.{0,80}"
        r"\b(?:device|instance|mode|partition)",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="RuntimeError: device >= 0 && device < num_gpus INTERNAL ASSERT"
        ' FAILED at "../aten/src/ATen/cuda/CUDAContext.cpp":50, please report a bug to'
        " PyTorch. device=2, num_gpus=1",
        source="pytorch/pytorch#131650",
        advice=Advice(
            "The process sees fewer devices than it asks for; a MIG slice is one device.",
            "nvidia-smi -L",
        ),
        only_before_first_step=True,
    ),
    Rule(
        (".cu:", "device-side assert", "errorassert", ".cuh:"),
        r"\.cuh?:\d{1,6}: .{0,400}\bassertion .{0,400}failed"
        r"|\b(?:cuda|hip) (?:error|failure)\b.{0,30}device-side assert triggered"
        r"|cudaErrorAssert\b",
        Failure.CUDA_DEVICE_ASSERT,
        Action.HOLD,
        example="../aten/src/ATen/native/cuda/Indexing.cu:1290:"
        " indexSelectLargeIndex: block: [21,0,0], thread: [64,0,0] Assertion `srcIndex <"
        " srcSelectDimSize` failed.",
        source="huggingface/trl#1995",
        advice=Advice(
            "An index is out of range, as a label or token id: run once with blocking launches, and"
            " the traceback names the line.",
            "CUDA_LAUNCH_BLOCKING=1 supervisor run",
        ),
    ),
    Rule(
        ("not compiled with cuda", "invalid device ordinal"),
        r"not compiled with cuda enabled|invalid device ordinal",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="RuntimeError: CUDA error: invalid device ordinal",
        source="seiichiinoue/odcnn#5",
        advice=Advice(
            "The script asks for a GPU that this process does not see.",
            "nvidia-smi -L; echo $CUDA_VISIBLE_DEVICES",
        ),
        only_before_first_step=True,
    ),
    Rule(
        ("no gpu", "no cuda", "not available", "not found", "require", "need", "expected "),
        r"^(?:AssertionError|RuntimeError|ValueError|Exception|SystemExit): .{0,60}"
        r"(?:\bno (?:gpu|cuda)s?\b|\b(?:gpus?|cuda) (?:is |are )?not (?:available|found|visible)"
        r"|\b(?:requires?|needs?) (?:a |at least one )?(?:gpu|cuda)\b|\bexpected \d{1,4} gpus?\b)",
        Failure.GPU_UNAVAILABLE,
        Action.BACKOFF,
        example="AssertionError: no GPU",
        source="siderolabs/extensions#717",
        advice=_NOT_SEEN,
        only_raised=True,
    ),
    Rule(
        (
            "busy or unavailable",
            "no cuda gpus are available",
            "no cuda-capable device",
            "driver initialization failed",
            "cuda unknown error",
            "found no nvidia driver",
            "not yet initialized",
            "cuda failure 802",
            "driver/library version mismatch",
            "invalid device ordinal",
            "attempting to deserialize object on",
            "already in use by process",
            "device already acquired",
            "no devices were found",
            "driver not loaded",
            "communicate with the nvidia driver",
            "no supported gpu backend",
            *("nvidia-container", "tpu initialization failed", "neuroncore(s) not", "synstatus="),
            "cuda_error_",
        ),
        r"\bunable to initialize backend .{0,80}already in use|\bdevice already acquired\b"
        r"|^no devices were found|\bNVML_?Error_?Driver_?Not_?Loaded\b"
        r"|^NVIDIA-SMI has failed because it couldn't communicate|: No supported gpu backend found"
        r"|\bnvidia-container-cli: |\bTPU initialization failed\b.{0,200}\bbusy\b"
        r"|\bNeuronCore\(s\) not available|\bsynStatus=\d{1,4} \[Device not found"
        r"|\bCUDA_ERROR_(?:NO_DEVICE|SYSTEM_NOT_READY|DEVICE_UNAVAILABLE)\b"
        r"|attempting to deserialize object on (?:a )?cuda device"
        r"|devices?(?:\(s\))? (?:is/are|is|are) busy or unavailable|no cuda gpus are available"
        r"|no cuda-capable device is detected|cuda driver initialization failed"
        r"|cuda unknown error|found no nvidia driver|system not yet initialized"
        r"|cuda failure 802|driver/library version mismatch|invalid device ordinal",
        Failure.GPU_UNAVAILABLE,
        Action.BACKOFF,
        example="RuntimeError: Unexpected error from cudaGetDeviceCount(). Did"
        " you run some cuda functions before calling NumCudaDevices() that might have"
        " already set an error? Error 802: system not yet initialized",
        source="haotian-liu/LLaVA#683",
        advice=_NOT_SEEN,
    ),
    Rule(
        (
            "illegal memory access",
            "illegal instruction was",
            "launch failure",
            "misaligned address",
            "memory access fault",
            "hsa_status_error",
            "unable to find an engine",
            "dnn library initialization failed",
        ),
        r"an illegal (?:memory access|instruction) was encountered|unspecified launch failure"
        r"|\b(?:GET|FIND) was unable to find an engine to execute"
        r"|\bDNN library initialization failed"
        r"|\bmemory access fault by gpu node|\bHSA_STATUS_ERROR_\w{3,60}\b"
        r"|cuda.{0,80}misaligned address",
        Failure.CUDA_FAULT,
        Action.RESTART,
        example="RuntimeError: CUDA error: an illegal memory access was encountered",
        source="axolotl-ai-cloud/axolotl#1473",
    ),
    Rule(
        ("cublas_status_", "cudnn_status_", "cusparse_status_", "cusolver_status_", "cufft_"),
        r"\bCU(?:BLAS|DNN|SPARSE|SOLVER)_STATUS_(?!SUCCESS)[A-Z_]{3,60}|cuFFT error: CUFFT_[A-Z_]+",
        Failure.CUDA_FAULT,
        Action.RESTART,
        example="RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        source="facebookresearch/fairseq#465",
    ),
    Rule(
        ("cuda error: driver shutting down", "cuda error: context is destroyed"),
        r"cuda error: (?:driver shutting down|context is destroyed)",
        Failure.CUDA_FAULT,
        Action.RESTART,
        Weight.CASCADE,  # destructors print it while the interpreter ends
        example="CUDA error: driver shutting down",
        source="pytorch/pytorch#35736",
    ),
    Rule(
        (
            "cuda error",
            "hip error",
            "cuda failure",
            "cudaerror",
            "cuda_error_",
            "cudnn failed",
            "cublas error",
        ),
        r"\bCUDA_ERROR_(?!OUT_OF_MEMORY)[A-Z_]{4,40}\b|\bcudaError(?:IllegalAddress|LaunchFailure"
        r"|LaunchTimeout|IllegalInstruction|MisalignedAddress|Unknown)\b"
        r"|\bcuDNN failed to initialize"
        r"|\b(?:cuda|hip) error: (?!success)\w|\bCUDA error \(/|\bcuBLAS Error: "
        r"|\bcuda failure (?:\d{1,4}|')",
        Failure.CUDA_FAULT,
        Action.RESTART,
        example="RuntimeError: CUDA error: the launch timed out and was terminated",
        source="SJTU-LuHe/TransVOD#21",
    ),
)
