"""What NCCL, gloo, JAX's coordination service and rendezvous print when they fail."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

_ONE_GPU_PER_RANK = Advice(
    "Two ranks use the same GPU: select one by LOCAL_RANK, and start no more ranks than GPUs.",
    "nvidia-smi -L",
)

COLLECTIVES: tuple[Rule, ...] = (
    Rule(
        ("duplicate gpu detected", "ncclinvalidusage"),
        r"\bduplicate GPU detected\b|\bncclInvalidUsage\b",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="Duplicate GPU detected : rank 5 and rank 1 both on CUDA device c1000",
        source="NVIDIA/Megatron-LM#661",
        advice=_ONE_GPU_PER_RANK,
        only_before_first_step=True,
    ),
    Rule(
        ("ibv_reg_mr", "ibv_create_", "memlock"),
        r"\bibv_(?:reg_mr|create_(?:cq|qp))\w{0,10} failed with error cannot allocate memory"
        r"|\b(?:memlock|max locked memory)\b.{0,80}\b(?:too (?:low|small)|limit)",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="gpu03:511:822 [3] misc/ibvwrap.cc:262 NCCL WARN Call to"
        " ibv_reg_mr_iova2 failed with error Cannot allocate memory",
        source="NVIDIA/nccl-tests#206",
        advice=Advice(
            "InfiniBand may lock too little memory: raise the limit for this user.", "ulimit -l"
        ),
        only_before_first_step=True,
    ),
    Rule(
        ("collective operation timeout", "before timing out", "timeout at nccl work"),
        r"caught collective operation timeout|ran for \d+ milliseconds before timing out"
        r"|timeout at nccl work",
        Failure.NCCL_TIMEOUT,
        Action.RESTART,
        Weight.TIMEOUT,
        example="[Rank 3] Watchdog caught collective operation timeout:"
        " WorkNCCL(SeqNum=4417, OpType=ALLREDUCE, NumelIn=1048576, NumelOut=1048576,"
        " Timeout(ms)=600000) ran for 600074 milliseconds before timing out.",
        source="hiyouga/LLaMA-Factory#6269",
    ),
    Rule(
        (
            "watchdog got stuck",
            "heartbeat monitor timed out",
            "timed out waiting",
            "notify register times out",
            "monitoredbarrier",
            "horovod has been shut down",
            "stall_inspector",
            "termination timeout for",
            "507048",
        ),
        r"failed to pass monitoredBarrier in \d|\bhorovod has been shut down\b"
        r"|\bstall_inspector\.cc:\d{1,5}\] One or more tensors were submitted"
        r"|\bTermination timeout for .{0,200}collective operation|\berror code ?(?:is|:)? ?507048\b"
        r"|notify register times out|watchdog got stuck for|heartbeat monitor timed out"
        r"|(?:gloo|unbound_buffer|RuntimeError).{0,200}timed out waiting \d+ms for (?:recv|send)"
        r" operation",
        Failure.NCCL_TIMEOUT,
        Action.RESTART,
        Weight.TIMEOUT,
        example="[PG ID 0 PG GUID 0(default_pg) Rank 1] ProcessGroupNCCL's"
        " watchdog got stuck for 480 seconds without making progress in monitoring"
        " enqueued collectives.",
        source="hiyouga/LLaMA-Factory#8549",
    ),
    Rule(
        ("nccl error", "ncclunhandledcudaerror"),
        r"nccl error.{0,300}unhandled cuda error|ncclunhandledcudaerror",
        Failure.CUDA_FAULT,
        Action.RESTART,
        Weight.CONSEQUENCE,
        unless=r"out of memory",
        example="torch.distributed.DistBackendError: NCCL error in:"
        " ../torch/csrc/distributed/c10d/NCCLUtils.hpp:317, unhandled cuda error (run"
        " with NCCL_DEBUG=INFO for details), NCCL version 2.21.5",
        source="NVIDIA/nccl#1410",
    ),
    Rule(
        ("got completion from peer", "got async event"),
        r"NET/IB ?: .{0,80}got (?:completion from peer .{0,200}(?:error|status=[1-9])|async event)",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="gpu09:611:940 [2] transport/net_ib.cc:1295 NCCL WARN NET/IB :"
        " Got completion from peer 10.1.0.4<51344> with status=12 opcode=0 len=0 vendor"
        " err 129 (Recv)",
        source="NVIDIA/nccl#1405",
    ),
    Rule(
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
        Weight.CONSEQUENCE,
        unless=r"no nccl error|retry|\bout of memory\b",
        example="ncclRemoteError: A call failed possibly due to a network error or a remote process"
        " exiting prematurely.",
        source="NVIDIA/nccl#2076",
    ),
    Rule(
        (
            "nccl warn",
            "connection closed by remote peer",
            "gloo",
            "fatal error in ",
            "ucx  error",
            "ucx error",
            "orte has lost",
            "network connection to the node",
        ),
        r"NCCL WARN (?:Net|NET/\w+|Call to (?:connect|recv|send|ibv_\w+|bind)|Timeout|socket)\b"
        r"|\bUCX {1,2}ERROR .{0,200}\b(?:retry|timed? ?out|reset|unreachable)"
        r"|\bFatal error in P?MPI_\w{1,40}: (?:Other MPI error|Unknown error|See the MPI)"
        r"|\bORTE has lost communication|\bfailure of the TCP network connection to the node"
        r"|connection closed by remote peer|(?:closed|reset) by peer.{0,200}/gloo/"
        r"|gloo.{0,300}(?:(?:closed|reset) by peer|broken pipe|read error"
        r"|connectFullMesh failed|connect(?:ion)? (?:refused|timed out)|timed out connecting"
        r"|no route to host)",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="RuntimeError: Gloo connectFullMesh failed with [/b/gloo/transport/tcp/pair.cc:144]"
        " no error",
        source="occlum/occlum#1604",
    ),
    Rule(
        ("unavailable: ",),
        r"\b(?:Runtime|XlaRuntime|Unavailable)Error: (?:UNAVAILABLE|Unavailable): "
        r"|\bUNAVAILABLE: .{0,200}(?:socket closed|connection reset|failed to connect)",
        Failure.NCCL_NETWORK,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="RuntimeError: Unavailable: From /job:tpu_worker/replica:0/task:0:",
        source="tensorflow/tensorflow#46007",
    ),
    Rule(
        ("deadline_exceeded", "registertask"),
        r"\bXlaRuntimeError: DEADLINE_EXCEEDED|\bCoordinationService/RegisterTask",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="jaxlib.xla_extension.XlaRuntimeError: DEADLINE_EXCEEDED: Deadline Exceeded",
        source="jax-ml/jax#23599",
    ),
    Rule(
        ("coordination", "jax distributed service", "heartbeat", "barrier timed out"),
        r"coordination service.{0,300}(?:unavailable|heartbeat timeout|error)"
        r"|JAX distributed service detected fatal errors|\bheartbeat timeout\b.{0,80}\btask"
        r"|\btask\b.{0,120}\bheartbeat timeout"
        r"|\bbarrier timed out\b.{0,200}|coordination_service\S{0,40}.{0,200}(?:timed out"
        r"|deadline)",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="F0311 04:12:09.118273    2201 client.h:77] Terminating process"
        " because the JAX distributed service detected fatal errors. This most likely"
        " indicates that another task died; see the other task logs for more details.",
        source="jax-ml/jax#39095",
    ),
    Rule(
        ("rendezvous",),
        r"\bRendezvous(?:Closed|Timeout|Connection|State|Graceful\w*)(?:Error|Exit)?\b"
        r"(?!.{0,200}\bnode .{0,80}has been closed gracefully)",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError",
        source="ymcui/Chinese-LLaMA-Alpaca-2#274",
    ),
    Rule(
        (
            "server socket",
            "client socket",
            "address already in use",
            "another process is utilizing it",
            "waiting for tasks to start",
            "did gcs start",
            "eaddrinuse",
            "diststoreerror",
            "waiting for clients",
            "wait timeout after",
            "store based barrier",
            "retrieving nccluniqueid",
            "socket timeout",
        ),
        r"the (?:server|client) socket (?:has|on) .{0,200}(?:failed to|timed out)"
        r"|(?:errno:? 98|EADDRINUSE|bind).{0,120}address already in use|\bEADDRINUSE\b"
        r"|(?:Errno 98\] )?address already in use$"
        r"|on port .{1,20}, but another process is utilizing"
        r"|\bTimed out waiting for tasks to start\b|\bDid GCS start successfully\?"
        r"|DistStoreError|waiting for clients\. \d+/\d+ clients joined"
        r"|wait timeout after \d+ms, keys"
        r"|timed out initializing process group in store based barrier"
        r"|retrieving ncclUniqueId from .{0,200}got error"
        r"|(?:DistStore|Runtime|DistNetwork)\w{0,20}Error: Socket Timeout",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="torch.distributed.DistNetworkError: The server socket has failed to listen on any"
        " local network address. The server socket has failed to bind to [::]:29611 (errno: 98 -"
        " Address already in use).",
        source="pytorch/torchtune#392",
        advice=Advice(
            "If the port is in use by a process of an earlier run, end that process.", "ss -ltnp"
        ),
    ),
    Rule(
        ("distnetworkerror", "failed to recv, got 0 bytes", "sendbytes failed", "tcpstore"),
        r"DistNetworkError|failed to recv, got 0 bytes|sendBytes failed"
        r"|TCPStore.{0,200}(?:broken pipe|connection reset)",
        Failure.RENDEZVOUS,
        Action.BACKOFF,
        Weight.TIMEOUT,
        example="torch.distributed.DistNetworkError: Failed to recv, got 0 bytes."
        " Connection was likely closed. Did the remote server shutdown or crash?",
        source="pytorch/pytorch, torch/csrc/distributed/c10d/Utils.hpp",
    ),
)
