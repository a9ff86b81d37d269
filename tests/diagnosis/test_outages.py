"""Outages outside the run are waited for: networks, logins, uploads, file servers."""

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence

pytestmark = pytest.mark.timeout(30)


def raised(line: str, *frames: tuple[str, str, str], seen: bool = False) -> Diagnosis:
    """The diagnosis of a program that died of `line`, called through (file, function, source)."""
    calls = frames or (("/job/train.py", "main", "go()"),)
    lines = ["Traceback (most recent call last):"]
    for path, function, source in calls:
        lines += [f'  File "{path}", line 3, in {function}', f"    {source}"]
    return diagnose(ExitEvidence(1, None, [*lines, line], first_step_seen=seen))


OUTAGES = [
    "ConnectionError: Couldn't reach 'org/data' on the Hub (ConnectionError)",
    "ConnectionResetError: [Errno 104] Connection reset by peer",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "TimeoutError: The read operation timed out",
    "socket.gaierror: [Errno -2] Name or service not known",
    "OSError: [Errno 101] Network is unreachable",
    "OSError: [Errno 113] No route to host",
    "OSError: We couldn't connect to 'https://hub.example' to load this file",
    "RuntimeError: the feature server is unreachable",
    "requests.exceptions.SSLError: HTTPSConnectionPool(host='h', port=443)",
    "ssl.SSLCertVerificationError: certificate verify failed: certificate has expired",
    "urllib.error.URLError: <urlopen error timed out>",
    "urllib.error.HTTPError: HTTP Error 403: Forbidden",
    "http.client.RemoteDisconnected: Remote end closed connection without response",
    "httpx.ReadError: [Errno 104]",
    "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host h:443",
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://h/x",
    "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://h/x",
    "huggingface_hub.errors.HfHubHTTPError: 403 Forbidden: None.",
    "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: x)",
    "huggingface_hub.errors.LocalTokenNotFoundError: Token is required",
    "wandb.errors.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=[x])",
    "wandb.errors.CommError: Run initialization has timed out after 90.0 sec.",
    "EOFError: EOF when reading a line",
    "botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: \"h\"",
    "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
    "botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the PutObject",
    "boto3.exceptions.S3UploadFailedError: Failed to upload out/x to b/x: An error occurred",
    "google.auth.exceptions.RefreshError: Reauthentication is needed",
    "google.api_core.exceptions.ServiceUnavailable: 503 failed to connect to all addresses",
    "OSError: 403 Forbidden: your token has no write access to this repository",
    "OSError: 401 Unauthorized",
    "RuntimeError: uploading model.safetensors failed: quota of requests is spent",
    "RuntimeError: could not push to hub: rejected",
    "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379",
]  # fmt: skip


@pytest.mark.parametrize("line", OUTAGES)
@pytest.mark.parametrize("seen", [False, True])
def test_it_is_waited_for(line: str, seen: bool) -> None:
    """The run itself is not at fault. Only a login is a human's work, before the first step."""
    found = raised(line, seen=seen)
    assert found.failure in (
        Failure.EXCEPTION,
        Failure.DOWNLOAD_FAILED,
        Failure.ACCESS_DENIED,
    )
    asks_a_human = found.failure is Failure.ACCESS_DENIED and not seen
    assert found.action is (Action.HOLD if asks_a_human else Action.BACKOFF)
    assert found.frame == "train.py:main"


FILE_SERVERS = [
    "OSError: [Errno 5] Input/output error: '/ckpt/checkpoint-40/state.bin'",
    "OSError: [Errno 30] Read-only file system: 'ckpt/new'",
    "OSError: [Errno 30] Nur-lesbares Dateisystem: 'ckpt/new'",
    "OSError: [Errno 116] Stale file handle",
    "OSError: [Errno 107] Transport endpoint is not connected: '/mnt/x'",
    "OSError: [Errno 112] Host is down: '/mnt/share/x'",
    "OSError: [Errno 126] Required key not available: '/afs/x'",
    "OSError: [Errno 127] Key has expired: '/nfs/x'",
]


@pytest.mark.parametrize("line", FILE_SERVERS)
def test_a_file_server_is_waited_for(line: str) -> None:
    """A remounted disk and an expired ticket are waited for, too."""
    found = raised(line, seen=True)
    assert (found.failure, found.action) == (Failure.FILESYSTEM, Action.BACKOFF)


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: 403 classes expected, 400 found",
        "KeyError: 'timeout'",
        "RuntimeError: connection of layer 3 is missing",
        "AssertionError: server_port",
        "RuntimeError: expected 401 rows, got 403 (shape mismatch)",
        "IndexError: index 503 is out of bounds for axis 0 with size 500",
        "RuntimeError: The size of tensor a (429) must match the size of tensor b (500)",
        "ValueError: learning rate 0.401 is too large",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/upload/1.txt'",
        "requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://h/x",
        "EOFError: Ran out of input",
    ],
)
def test_what_only_looks_like_it_is_a_failure_like_others(line: str) -> None:
    """Other messages have the network's numbers and words, too: they are ordinary failures."""
    found = raised(line, seen=True)
    assert (found.failure, found.action) == (Failure.EXCEPTION, Action.RESTART)


def test_calls_tell_an_upload_and_the_network_where_the_message_does_not() -> None:
    """An unknown exception counts as an outage if code that talks to a server raised it."""
    upload = ("/job/train.py", "upload_checkpoint", "client.put(path)")
    assert raised("Boom: 17", ("/job/train.py", "main", "f()"), upload).action is Action.BACKOFF
    network = ("/env/site-packages/urllib3/response.py", "read", "raise")
    assert raised("ValueError: chunk", network).action is Action.BACKOFF
    assert raised("TypeError: f() takes 1", upload).action is Action.RESTART
    own = ("/job/train.py", "main", "upload_checkpoint(path)")
    assert raised("ValueError: chunk", own).action is Action.RESTART


@pytest.mark.parametrize(
    "line", ["ConnectionResetError: [Errno 104] Connection reset by peer", "TimeoutError"]
)
def test_another_process_of_this_machine_is_no_network(line: str) -> None:
    """A dead data-loader worker also resets a connection, and waiting does not help."""
    worker = ("/usr/lib/python3.12/multiprocessing/connection.py", "_recv", "raise")
    assert raised(line, worker).action is Action.RESTART


EOF = "EOFError: Ran out of input"
PICKLE = "_pickle.UnpicklingError: pickle data was truncated"
ZIP = "RuntimeError: PytorchStreamReader failed reading zip archive: not a ZIP archive"
LOADS = [
    ("/job/train.py", "load_checkpoint", "state = pickle.load(file)"),
    ("/job/train.py", "restore", "return pickle.load(file)"),
    ("/job/checkpointing.py", "read", "return pickle.load(file)"),
    ("/job/train.py", "<module>", "state = torch.load(sys.argv[2])"),
    ("/job/train.py", "<module>", 'start = pickle.load(open(sys.argv[2] + "/state.bin", "rb"))'),
    ("/env/torch/serialization.py", "_legacy_load", "magic = pickle_module.load(f)"),
    ("/env/lightning/pytorch/trainer/connectors/checkpoint_connector.py", "resume_start", "x()"),
    ("/env/transformers/trainer.py", "_load_optimizer_and_scheduler", "x()"),
    ("/env/torch/distributed/checkpoint/filesystem.py", "read_metadata", "pickle.load(f)"),
]
READS = [
    ("/job/data.py", "shard", "return pickle.load(file)"),
    ("/job/train.py", "__getitem__", "return torch.load(self.paths[index])"),
    ("/env/torch/utils/data/_utils/fetch.py", "fetch", "data = self.dataset[index]"),
    ("/env/datasets/arrow_dataset.py", "load", "x()"),
    ("/job/train.py", "load_dataset_cache", "return pickle.load(file)"),
]


@pytest.mark.parametrize("line", [EOF, PICKLE, ZIP])
@pytest.mark.parametrize("frame", LOADS)
def test_a_checkpoint_that_cannot_be_read_is_corrupt(
    frame: tuple[str, str, str], line: str
) -> None:
    """The function, its file or the source line shows that a checkpoint is loaded."""
    found = raised(line, ("/job/train.py", "<module>", "main()"), frame)
    assert (found.failure, found.action) == (Failure.CHECKPOINT_CORRUPT, Action.ROLLBACK)
    assert found.loads_checkpoint is True


@pytest.mark.parametrize("line", [EOF, PICKLE, ZIP])
@pytest.mark.parametrize("frame", READS)
def test_data_that_cannot_be_read_takes_no_checkpoint_back(
    frame: tuple[str, str, str], line: str
) -> None:
    """An unreadable cache of a data set is not taken for a damaged checkpoint."""
    inner = ("/env/torch/serialization.py", "load", "return _load(file)")
    for frames in ((frame,), (frame, inner)):
        found = raised(line, ("/job/train.py", "<module>", "main()"), *frames)
        assert (found.failure, found.action) == (Failure.DATA_CORRUPT, Action.RESTART)
        assert found.loads_checkpoint is False


def test_an_empty_pickle_of_nobody_knows_what_is_no_checkpoint() -> None:
    """Pipes and caches end early, too, so an empty pickle alone proves no damage."""
    found = raised(EOF, ("/job/train.py", "main", "message = pickle.load(pipe)"))
    assert (found.failure, found.loads_checkpoint) == (Failure.EXCEPTION, False)


def test_gradient_checkpointing_is_no_load() -> None:
    """torch/utils/checkpoint.py recomputes activations, and loads no checkpoint."""
    recompute = ("/env/torch/utils/checkpoint.py", "recompute_fn", "fn(*args)")
    assert raised("ValueError: x", recompute).loads_checkpoint is False


def test_a_checkpoint_that_does_not_fit_is_known_to_have_been_loaded() -> None:
    """The calls of a traceback show the load, whatever the exception is."""
    frame = ("/env/torch/nn/modules/module.py", "load_state_dict", "raise RuntimeError(")
    found = raised("RuntimeError: Error(s) in loading state_dict for GPT:", frame, seen=True)
    assert found.loads_checkpoint is True
