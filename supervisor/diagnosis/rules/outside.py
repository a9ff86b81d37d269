"""What servers, hubs, object stores, logins and uploads print when they fail.

Most are outages: nothing is wrong with the run, and the service outside has to recover.
"""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

# The words of some rules occur in ordinary output too. They count only in a line that begins with
# the name of an exception.
_RAISED = (
    r"^(?:\w+\.)*\w{0,60}"
    r"(?:Error|Exception|Timeout|Exceeded|Unavailable|Unauthorized|Forbidden|Denied|Failed)\b"
)
_LOGIN = Advice(
    "The service refuses this user: log in, set the token, or ask for access to the repository.",
    "hf auth whoami; wandb login",
)
_OUTAGE = Advice("The server does not answer as it should: the run tries again by itself.")

OUTSIDE: tuple[Rule, ...] = (
    # Within one machine these mean that a data-loader worker has died, and its peers see it.
    Rule(
        ("brokenpipeerror",),
        r"^BrokenPipeError\b",
        Failure.EXCEPTION,
        Action.RESTART,
        Weight.CONSEQUENCE,
        example="BrokenPipeError: [Errno 32] Broken pipe",
        source="python/cpython, Objects/exceptions.c",
    ),
    Rule(
        ("connectionreseterror", "connectionrefusederror", "connectionabortederror"),
        r"^(?:ConnectionReset|ConnectionRefused|ConnectionAborted)Error\b",
        Failure.EXCEPTION,
        Action.BACKOFF,
        Weight.CONSEQUENCE,
        example="ConnectionRefusedError: [Errno 111] Connection refused",
        source="python/cpython, Objects/exceptions.c",
    ),
    Rule(
        (
            "gatedrepo",
            "gated repo",
            "localtokennotfound",
            "repositorynotfounderror",
            "is not a valid model identifier",
            "api key",
            "api_key",
            "login",
            "401",
            "403",
            "unauthorized",
            "forbidden",
            "credential",
            "authenticat",
            "accessdenied",
            "access denied",
            "permissiondenied",
            "refresherror",
            "tokenretrieval",
            "expired",
            "when reading a line",
            "invalid credentials",
            "does not have ",
            "gated dataset",
            "is not authorized to perform",
            "permission_denied: ",
        ),
        # A library that prompts for a login gets EOFError: standard input is /dev/null.
        r"^EOFError: EOF when reading a line"
        r"|^(?:\w+\.)*(?:GatedRepoError|LocalTokenNotFoundError|NoCredentialsError"
        r"|RepositoryNotFoundError|\w{0,20}CredentialRetrievalError|TokenRetrievalError"
        r"|UnauthorizedSSOTokenError|RefreshError|DefaultCredentialsError"
        r"|ClientAuthenticationError|AuthenticationError)\b"
        r"|" + _RAISED + r".{0,400}(?:\((?:expiredtoken\w{0,20}|accessdenied\w{0,20})\)"
        r"|\binvalid credentials\b|\bdoes not have \S{1,80} (?:access|permission)"
        r"|\bis not authorized to perform\b|\bPERMISSION_DENIED: "
        r"|\bgated (?:repo|dataset|model)\b|is not a valid model identifier"
        r"|\bapi[_ ]key (?:is )?not (?:configured|set|found)|\b(?:wandb|hf|huggingface-cli|gcloud"
        r"|aws)(?: auth| sso)? login\b|\b(?:token|credentials?|session|ticket)\b.{0,40}"
        r"\b(?:has |have )?expired\b|\b(?:unauthorized|access denied|forbidden)\b"
        r"|\b40[13] (?:client|server) error\b"
        r"|\b(?:http|status|code|response|(?<!cuda )(?<!hip )error)\w{0,10}[ :=('\"]{1,4}"
        r"(?:error )?(?:code )?40[13]\b"
        r"|\berror occurred \(40[13]\)|\bHTTP Error 40[13]\b)",
        Failure.ACCESS_DENIED,
        Action.HOLD,
        example="huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-6)",
        source="huggingface/huggingface_hub, src/huggingface_hub/utils/_http.py",
        advice=_LOGIN,
        late=Action.BACKOFF,
    ),
    Rule(
        ("publickey", "wandb: error", "authentication failed for"),
        r"\bPermission denied \(publickey|^fatal: Authentication failed for "
        r"|^wandb: ERROR .{0,160}(?:\bpermission denied\b"
        r"|\bapi_key not configured|<Response \[40[13]\]>)",
        Failure.ACCESS_DENIED,
        Action.HOLD,
        Weight.CONSEQUENCE,
        example="wandb: ERROR Error while calling W&B API: permission denied (<Response [403]>)",
        source="wandb/wandb, wandb/sdk/internal/internal_api.py",
        advice=_LOGIN,
        late=Action.BACKOFF,
    ),
    Rule(
        ("404", "entrynotfounderror", "revisionnotfounderror", "nosuchkey", "nosuchbucket"),
        _RAISED + r".{0,200}(?:\b404 client error|\(404\)|\bNoSuch(?:Key|Bucket)\b)"
        r"|^(?:\w+\.)*(?:Remote)?(?:Entry|Revision)NotFoundError\b",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="requests.exceptions.HTTPError: 404 Client Error: Not Found for url:"
        " https://h.co/x",
        source="psf/requests, src/requests/models.py",
        advice=Advice("The server has nothing under this name: check the name and the revision."),
        only_before_first_step=True,
    ),
    Rule(
        ("wandb", "comm error", "commerror"),
        r"^(?:\w+\.)*CommError\b|^(?:wandb\.)(?:\w+\.)*\w{0,40}(?:Error|Exception|Timeout)\b",
        Failure.EXCEPTION,
        Action.BACKOFF,
        example="wandb.errors.errors.CommError: Run initialization has timed out after 90.0 sec.",
        source="wandb/wandb, wandb/sdk/wandb_init.py",
        advice=Advice(
            "Weights & Biases did not answer; offline mode needs no server.", "wandb offline"
        ),
    ),
    Rule(
        (
            "max retries exceeded",
            "name resolution",
            "connectionerror",
            "readtimeout",
            "connecttimeout",
            "server error",
            "too many requests",
            "invalid hash value",
            "consistency check failed",
            "fstimeouterror",
            "curl",
            "error downloading",
            "toomanyrequests",
            "back-off pulling",
        ),
        r"max retries exceeded with url|temporary failure in name resolution"
        r"|\b(?:requests|httpx|urllib3|aiohttp)\.\S{0,40}(?:ConnectionError|Timeout|ConnectError)\b"
        r"|^RuntimeError: invalid hash value|^OSError: Consistency check failed: file should be"
        r"|\bFSTimeoutError\b|^RuntimeError: Error downloading |\btoomanyrequests: "
        r"|\bBack-off pulling image\b|^(?:OS|IO)Error: .{0,200}\bcurl\b.{0,200}\bexit \d"
        r"|\b(?:429 client|50[0234] server) error|\btoo many requests\b",
        Failure.DOWNLOAD_FAILED,
        Action.BACKOFF,
        example="requests.exceptions.ConnectionError: HTTPSConnectionPool(host='h.co', port=443):"
        " Max retries exceeded with url: /x",
        source="huggingface/huggingface_hub#2319",
        advice=_OUTAGE,
    ),
    Rule(
        (
            "error",
            "timeout",
            "incomplete",
            "disconnected",
            "unavailable",
            "exceeded",
            "autorec",
            "localentrynotfound",
        ),
        r"^(?:\w+\.)*(?:ConnectionError|ConnectError|ConnectTimeout(?:Error)?|ReadTimeout(?:Error)?"
        r"|WriteTimeout|PoolTimeout|RemoteProtocolError|ProtocolError|ProxyError"
        r"|SSL\w{0,40}Error|EndpointConnectionError|ConnectionClosed\w{0,20}|NewConnectionError"
        r"|MaxRetryError|ChunkedEncodingError|IncompleteRead|RemoteDisconnected"
        r"|Client(?:Connector|Connection|OS|Payload)\w{0,20}Error|Server(?:Disconnected"
        r"|Timeout)Error"
        r"|URLError|gaierror|herror|APIConnectionError|APITimeoutError|RateLimitError"
        r"|ServiceUnavailable\w{0,10}|InternalServerError|GatewayTimeout|BadGateway"
        r"|DeadlineExceeded|TransportError|AutoReconnect|ServerSelectionTimeoutError"
        r"|HfHubHTTPError|LocalEntryNotFoundError|ServiceRe(?:quest|sponse)\w{0,20}Error"
        r"|OfflineModeIsEnabled)\b"
        r"|^(?:socket\.|ssl\.)(?:timeout|error)\b|^(?:httpx|httpcore)\.(?:Read|Write)Error\b",
        Failure.DOWNLOAD_FAILED,
        Action.BACKOFF,
        example="httpx.ReadTimeout: The read operation timed out",
        source="encode/httpx, httpx/_exceptions.py",
        advice=_OUTAGE,
    ),
    Rule(
        (
            "not known",
            "unreachable",
            "route to host",
            "timed out",
            "refused",
            "reset by peer",
            "host is down",
            "reach",
            "connect",
            "statuscode.unavailable",
        ),
        _RAISED + r".{0,400}(?:name or service not known|nodename nor servname|network is"
        r" (?:unreachable|down)|no route to host|host is down"
        r"|connection (?:timed out|refused|reset)|\bnot reachable\b|\bunreachable\b"
        r"|(?:could(?: not|n't)|can't|cannot|unable to|fail(?:ed|ure) to)"
        r" (?:connect|reach|resolve)\b"
        r"|(?:server|hub|service|endpoint|host|site) (?:is )?(?:currently )?(?:unavailable|down)\b"
        r"|\bthe read operation timed out|statuscode\.unavailable)",
        Failure.DOWNLOAD_FAILED,
        Action.BACKOFF,
        example="OSError: We couldn't connect to 'https://huggingface.co' to load the files",
        source="huggingface/transformers, src/transformers/utils/hub.py",
        advice=_OUTAGE,
    ),
    Rule(
        ("40", "42", "50", "client error", "server error"),
        _RAISED + r".{0,400}(?:\b(?:407|408|425|429|5\d\d) (?:client|server) error\b"
        r"|\b(?:407|408|425|429|50[0-4])\b.{0,20}\b(?:proxy auth"
        r"|request time|too (?:early|many)|internal server|bad gateway|service unav|gateway time)"
        r"|\b(?:http|status|code|response|error)\w{0,10}[ :=('\"]{1,4}(?:error )?(?:code )?"
        r"(?:407|408|425|429|50[0-4])\b|\berror occurred \((?:408|429|50[0-4])\))",
        Failure.DOWNLOAD_FAILED,
        Action.BACKOFF,
        example="huggingface_hub.errors.HfHubHTTPError: 504 Server Error: Gateway Time-out for url:"
        " https://h.co",
        source="psf/requests, src/requests/models.py",
        advice=_OUTAGE,
    ),
    Rule(
        ("slowdown", "requesttimeout", "internalerror", "serviceunavailable", "throttling"),
        _RAISED + r".{0,400}\((?:slowdown|requesttimeout\w{0,20}|internalerror|serviceunavailable"
        r"|throttling\w{0,20})\)",
        Failure.DOWNLOAD_FAILED,
        Action.BACKOFF,
        example="botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the"
        " GetObject operation (reached max retries: 4): Please reduce your request rate.",
        source="boto/botocore, botocore/exceptions.py",
        advice=_OUTAGE,
    ),
    Rule(
        ("timeouterror",),
        r"^(?:\w+\.)*TimeoutError: \S",
        Failure.EXCEPTION,
        Action.BACKOFF,
        example="TimeoutError: timed out",
        source="python/cpython, Modules/socketmodule.c",
    ),
    Rule(
        ("upload", "push to", "pushing to"),
        _RAISED + r".{0,200}(?:\bupload\w{0,5}\b.{0,200}(?:fail|error|denied|refused|reject|abort"
        r"|timed out|could not|unable)|(?:fail\w{0,4}|error|could not|unable|cannot|can't|denied)"
        r" .{0,80}(?:\bupload|\bpush(?:ing)? to\b))"
        r"|^(?:\w+\.)*\w{0,20}UploadFailed\w{0,10}\b|^upload failed: ",
        Failure.EXCEPTION,
        Action.BACKOFF,
        example="upload failed: ./c.pt to s3://bucket/c.pt Could not connect to"
        ' the endpoint URL: "https://bucket.s3.amazonaws.com/c.pt"',
        source="aws/aws-cli, awscli/customizations/s3/results.py",
    ),
)
