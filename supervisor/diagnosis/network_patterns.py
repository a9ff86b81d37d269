"""What servers, hubs, object stores, logins and uploads print when they fail: rows only.

Most rows are outages: nothing is wrong with the run, and the service outside has to recover.
"""

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.patterns import LineWeight, Pattern

# The words of some rows occur in ordinary output too. They count only in a line that begins with
# the name of an exception.
_RAISED = (
    r"^(?:\w+\.)*\w{0,60}"
    r"(?:Error|Exception|Timeout|Exceeded|Unavailable|Unauthorized|Forbidden|Denied|Failed)\b"
)

OUTSIDE: tuple[Pattern, ...] = (
    # Within one machine these mean that a data-loader worker has died, and its peers see it.
    Pattern(
        ("brokenpipeerror", "keyboardinterrupt"),
        r"^BrokenPipeError\b|^KeyboardInterrupt\b",
        Failure.EXCEPTION,
        Action.RESTART,
        LineWeight.CONSEQUENCE,
    ),
    Pattern(
        ("connectionreseterror", "connectionrefusederror", "connectionabortederror"),
        r"^(?:ConnectionReset|ConnectionRefused|ConnectionAborted)Error\b",
        Failure.EXCEPTION,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
    ),
    Pattern(
        (
            "max retries exceeded",
            "name resolution",
            "connectionerror",
            "readtimeout",
            "connecttimeout",
            "server error",
            "too many requests",
        ),
        r"max retries exceeded with url|temporary failure in name resolution"
        r"|\b(?:requests|httpx|urllib3|aiohttp)\.\S{0,40}(?:ConnectionError|Timeout|ConnectError)\b"
        r"|\b(?:429 client|50[0234] server) error|\btoo many requests\b",
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    Pattern(
        ("error", "timeout", "incomplete", "disconnected", "unavailable", "exceeded", "autorec"),
        r"^(?:\w+\.)*(?:ConnectionError|ConnectError|ConnectTimeout(?:Error)?|ReadTimeout(?:Error)?"
        r"|WriteTimeout|PoolTimeout|TimeoutError|RemoteProtocolError|ProtocolError|ProxyError"
        r"|SSL\w{0,40}Error|EndpointConnectionError|ConnectionClosed\w{0,20}|NewConnectionError"
        r"|MaxRetryError|ChunkedEncodingError|IncompleteRead|RemoteDisconnected"
        r"|Client(?:Connector|Connection|OS|Payload)\w{0,20}Error|Server(?:Disconnected|Timeout)Error"
        r"|URLError|gaierror|herror|APIConnectionError|APITimeoutError|RateLimitError"
        r"|ServiceUnavailable\w{0,10}|InternalServerError|GatewayTimeout|BadGateway"
        r"|DeadlineExceeded|TransportError|AutoReconnect|ServerSelectionTimeoutError|CommError"
        r"|HfHubHTTPError|ServiceRe(?:quest|sponse)\w{0,20}Error|OfflineModeIsEnabled)\b"
        r"|^(?:socket\.|ssl\.)(?:timeout|error)\b|^(?:httpx|httpcore)\.(?:Read|Write)Error\b",
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    Pattern(
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
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    Pattern(
        ("40", "429", "50", "unauthorized", "forbidden", "client error"),
        _RAISED + r".{0,400}(?:\b(?:401|403|407|408|425|429|5\d\d) (?:client|server) error\b"
        r"|\b(?:401|403|407|408|425|429|50[0-4])\b.{0,20}\b(?:unauthorized|forbidden|proxy auth"
        r"|request time|too (?:early|many)|internal server|bad gateway|service unav|gateway time)"
        r"|\b(?:http|status|code|response|error)\w{0,10}[ :=('\"]{1,4}(?:error )?(?:code )?"
        r"(?:401|403|407|408|425|429|50[0-4])\b|\berror occurred \((?:40[138]|429|50[0-4])\))",
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    Pattern(
        (
            "unauthorized",
            "access denied",
            "accessdenied",
            "expiredtoken",
            "expired",
            "credential",
            "login",
            "log in",
            "api key",
            "api_key",
            "gatedrepo",
            "authenticat",
            "slowdown",
            "permissiondenied",
            "when reading a line",
            "requesttimeout",
            "refresherror",
            "tokennotfound",
        ),
        # A library that prompts for a login gets EOFError: standard input is /dev/null.
        r"^EOFError: EOF when reading a line"
        r"|^(?:\w+\.)*(?:GatedRepoError|LocalTokenNotFoundError|NoCredentialsError"
        r"|\w{0,20}CredentialRetrievalError|TokenRetrievalError|UnauthorizedSSOTokenError"
        r"|RefreshError|DefaultCredentialsError|ClientAuthenticationError|AuthenticationError)\b"
        r"|" + _RAISED + r".{0,400}(?:\((?:expiredtoken\w{0,20}|accessdenied\w{0,20}|slowdown"
        r"|requesttimeout\w{0,20}|internalerror|serviceunavailable|throttling\w{0,20})\)"
        r"|\bapi[_ ]key (?:is )?not (?:configured|set|found)|\b(?:wandb|hf|huggingface-cli|gcloud"
        r"|aws)(?: auth| sso)? login\b|\b(?:token|credentials?|session|ticket)\b.{0,40}"
        r"\b(?:has |have )?expired\b|\b(?:unauthorized|access denied)\b)",
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    Pattern(
        ("upload", "push to", "pushing to"),
        _RAISED + r".{0,200}(?:\bupload\w{0,5}\b.{0,200}(?:fail|error|denied|refused|reject|abort"
        r"|timed out|could not|unable)|(?:fail\w{0,4}|error|could not|unable|cannot|can't|denied)"
        r" .{0,80}(?:\bupload|\bpush(?:ing)? to\b))"
        r"|^(?:\w+\.)*\w{0,20}UploadFailed\w{0,10}\b|^upload failed: ",
        Failure.EXCEPTION,
        Action.BACKOFF,
    ),
    # DCP wraps the errors of all ranks in this exception. Their own tracebacks follow it.
    Pattern(
        ("checkpointexception",),
        r"\bCheckpointException ranks:",
        Failure.EXCEPTION,
        Action.RESTART,
        LineWeight.CONSEQUENCE,
    ),
)
