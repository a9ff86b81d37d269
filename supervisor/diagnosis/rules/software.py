"""What is printed when libraries, the driver and the GPU do not fit, or a compiler fails."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

_TORCH_BUILD = Advice(
    "Install a build of torch for this GPU and driver.",
    'python -c "import torch; print(torch.__version__, torch.cuda.get_arch_list())"; nvidia-smi',
)
_REBUILD = Advice(
    "A compiled package does not fit the installed libraries: install it again, built for them.",
    "pip list | grep -iE 'torch|cuda|flash|bitsandbytes|xformers'",
)
_COMPILER = Advice(
    "The compiler's own message above says what it misses; without torch.compile the run needs"
    " none."
)


def _incompatible(
    needles: tuple[str, ...],
    regex: str,
    example: str,
    source: str,
    advice: Advice,
    *,
    only_raised: bool = True,
) -> Rule:
    return Rule(
        needles,
        regex,
        Failure.INCOMPATIBLE_SOFTWARE,
        Action.HOLD,
        example=example,
        source=source,
        advice=advice,
        only_raised=only_raised,
        late=Action.RESTART,
    )


SOFTWARE: tuple[Rule, ...] = (
    _incompatible(
        (
            "no kernel image",
            "kernel image is invalid",
            "cuda_error_invalid_",
            "cuda_error_no_binary",
            "cudaerrornokernelimage",
            "invalid device function",
            "not compatible with the current pytorch",
        ),
        r"no kernel image is available for execution|\bdevice kernel image is invalid"
        r"|\bCUDA_ERROR_(?:INVALID_(?:IMAGE|PTX)|NO_BINARY_FOR_GPU)\b|\bcudaErrorNoKernelImage"
        r"|\b(?:CUDA|HIP) error: invalid device function|\bcudaErrorInvalidDeviceFunction",
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "pytorch/pytorch#149845",
        _TORCH_BUILD,
    ),
    _incompatible(
        ("driver", "provided ptx", "cuda version", "cudamismatch"),
        r"unsupported display driver / cuda driver combination"
        r"|nvidia driver on your system is too old|CUDA driver version is insufficient"
        r"|provided PTX was compiled with an unsupported toolchain"
        r"|\bCUDAMismatchException\b|detected CUDA version \(?[\d.]+\)? mismatches the version"
        r"|installed CUDA version .{0,40}does not match the version"
        r"|forward compatibility was attempted on non supported HW"
        r"|\bdriver version .{0,60}(?:is )?(?:too old|insufficient|older than)",
        "RuntimeError: The NVIDIA driver on your system is too old (found"
        " version 12020). Please update your GPU driver",
        "serend1p1ty/SeqNet#36",
        _TORCH_BUILD,
    ),
    Rule(
        ("importerror", "failed to import"),
        r"^(?:ImportError: |RuntimeError: Failed to import ).{0,400}(?:\bundefined symbol: "
        r"|cannot open shared object file)",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="ImportError:"
        " /env/lib/python3.12/site-packages/flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so:"
        " undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationE",
        source="axolotl-ai-cloud/axolotl#3142",
        advice=_REBUILD,
        only_before_first_step=True,
    ),
    _incompatible(
        (
            "undefined symbol",
            "glibcxx_",
            "glibc_",
            "cxxabi_",
            "cannot open shared object",
            "symbol not found",
        ),
        r"\bundefined symbol: |version `(?:GLIBCXX|GLIBC|CXXABI)_[\d.]+' not found"
        r"|cannot open shared object file",
        "OSError:"
        " /env/lib/python3.10/site-packages/nvidia/cublas/lib/libcublas.so.12: undefined"
        " symbol: cublasLtGetStatusString, version libcublasLt.so.12",
        "hcnoh/gail-pytorch#5",
        _REBUILD,
    ),
    Rule(
        ("loaded runtime cudnn", "cudnn library needs"),
        r"loaded runtime cudnn library: .{0,40}but source was compiled with",
        Failure.INCOMPATIBLE_SOFTWARE,
        Action.HOLD,
        Weight.STATED,
        example="E external/xla/xla/stream_executor/cuda/cuda_dnn.cc:522] Loaded runtime CuDNN"
        " library: 8.9.7 but source was compiled with: 9.3.0.",
        source="jax-ml/jax#16082",
        advice=_REBUILD,
        late=Action.RESTART,
    ),
    _incompatible(
        ("cuda setup ", "bitsandbytes", "compiled without gpu support"),
        r"CUDA Setup failed despite (?:CUDA|GPU) being available|\bCUDA SETUP ERROR: "
        r"|bitsandbytes.{0,120}(?:compiled without gpu support|not compiled|native library)",
        "CUDA Setup failed despite GPU being available. Please run the"
        " following command to get more information:",
        "bitsandbytes-foundation/bitsandbytes#828",
        _REBUILD,
    ),
    _incompatible(
        ("numpy", "compiled using numpy", "dtype size changed", "binary incompatib"),
        r"numpy\.(?:dtype|ufunc) size changed, may indicate binary incompatibility"
        r"|compiled using NumPy 1\.x cannot be run in|numpy\.core\.multiarray failed to import",
        "ValueError: numpy.dtype size changed, may indicate binary"
        " incompatibility. Expected 96 from C header, got 88 from PyObject",
        "matterport/Mask_RCNN#3063",
        _REBUILD,
    ),
    _incompatible(
        ("torchvision::", "different cuda", "cudnn version incompatib"),
        r"operator torchvision::\w{1,40} does not exist"
        r"|compiled with different CUDA (?:major )?versions|\bcuDNN version incompatibility\b",
        "RuntimeError: operator torchvision::nms does not exist",
        "pytorch/vision#8500",
        _REBUILD,
    ),
    _incompatible(
        (
            "symbol lookup error",
            "' not found (required by ",
            "was compiled to use",
            "requirement error",
        ),
        r"symbol lookup error: .{0,300}undefined symbol"
        r"|\bwas compiled to use \w{1,12} instructions, but these aren't available"
        r"|\bnvidia-container-cli: requirement error: unsatisfied condition: cuda"
        r"|^\S{1,300}: \S{1,300}: version `GLIBC\w{0,10}_[\d.]+' not found \(required by",
        "python: symbol lookup error: /env/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent",
        "pytorch/pytorch#123097",
        _REBUILD,
        only_raised=False,
    ),
    _incompatible(
        ("compute capability", "flashattention only supports", "requires ampere"),
        r"\bFlashAttention only supports (?:Ampere|Hopper) GPUs or newer"
        r"|\brequires? (?:a )?(?:GPU with )?compute capability|\bcompute capability .{0,60}not"
        r" supported|\btriton.{0,60}only supports? .{0,40}compute capability",
        "RuntimeError: FlashAttention only supports Ampere GPUs or newer.",
        "Dao-AILab/flash-attention#762",
        _TORCH_BUILD,
    ),
    _incompatible(
        (
            "is required for a normal functioning",
            "dependency conflict",
            "incompatible with",
            "used but incompatible",
            "no operator found for",
        ),
        r"^ImportError: .{0,120} is required for a normal functioning of this module"
        r"|^(?:ImportError|RuntimeError): .{0,160}\b(?:version|torch|transformers|numpy)\b.{0,80}"
        r"\bincompatible with\b|^AssertionError: .{0,80}\bis used but incompatible\b"
        r"|^NotImplementedError: No operator found for `memory_efficient",
        "ImportError: tokenizers>=0.21,<0.22 is required for a normal functioning of this module,"
        " but found tokenizers==0.20.1.",
        "huggingface/transformers, src/transformers/utils/versions.py",
        _REBUILD,
    ),
    Rule(
        (
            "inductorerror",
            "cppcompileerror",
            "compilationerror",
            "error building extension",
            "ninja",
            "nvcc",
            "outofresources",
            "out of resource: shared memory",
            "failed to find c compiler",
            "backendcompilerfailed",
            "calledprocesserror",
            "ptxas",
            "c++ compile error",
            "error compiling objects",
            "runneuronccimpl",
            "torch._inductor.exc.",
            "internaltorchdynamoerror",
            "cuda_home",
            "backendcompiler",
            "gcc",
        ),
        r"\bBackendCompilerFailed\b|\bnvcc fatal\b|\b(?:torch\._inductor\.exc\.\w{1,30}"
        r"|InductorError|CppCompileError|InternalTorchDynamoError)\b"
        r"|: INTERNAL: ptxas exited with|\bRunNeuronCCImpl: error condition"
        r"|\btriton\.\w[\w.]{0,60}(?:CompilationError|OutOfResources|PTXASError)\b"
        r"|\bOutOfResources: out of resource|\bPTXASError\b"
        r"|error building extension '|failed to find C compiler"
        r"|^RuntimeError: (?:error compiling objects for extension|ninja is required)"
        r"|^(?:subprocess\.)?CalledProcessError: command '?\[?.{0,200}(?:\bninja\b|\bnvcc\b|\bgcc\b"
        r"|\bg\+\+|/cc'|\bclang)|ptxas (?:fatal|error) ?:"
        r"|\b(?:MissingCUDAException|CUDA_HOME environment variable is not set)",
        Failure.BUILD_FAILED,
        Action.HOLD,
        unless=r"no space left|\berrno (?:28|122)\b",
        example="torch._inductor.exc.InductorError: CppCompileError: C++ compile error",
        source="pytorch/pytorch#152172",
        advice=_COMPILER,
        only_raised=True,
        late=Action.RESTART,
    ),
    Rule(
        ("failed building wheel", "failed to compile the c++ dataset"),
        r"^(?: {0,4})ERROR: {1,2}Failed building wheel for "
        r"|\bFailed to compile the C\+\+ dataset helper",
        Failure.BUILD_FAILED,
        Action.HOLD,
        Weight.CONSEQUENCE,
        example="ERROR: Failed building wheel for flash-attn",
        source="pypa/pip, src/pip/_internal/wheel_builder.py",
        advice=_COMPILER,
        late=Action.RESTART,
    ),
)
