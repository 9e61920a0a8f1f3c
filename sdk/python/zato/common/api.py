"""Constants, as existing service files import them."""

from typing import Any

ZATO_OK = "ZATO_OK"
ZATO_ERROR = "ZATO_ERROR"
ZATO_NONE = "ZATO_NONE"
ZATO_NOT_GIVEN = "ZATO_NOT_GIVEN"
NO_DEFAULT_VALUE = "NO_DEFAULT_VALUE"
TRACE1 = 6
"""A level of log lines below DEBUG."""
NotGiven: Any = type("NotGiven", (), {"__repr__": lambda self: "<NotGiven>", "__bool__": lambda self: False})()


class CHANNEL:
    """Types of channels, as `self.channel.type` has them."""

    HTTP_SOAP = "rest"
    REST = "rest"
    SCHEDULER = "scheduler"
    INVOKE = "invoke"
    INVOKE_ASYNC = "invoke-async"
    INVOKE_ASYNC_CALLBACK = "invoke-async-callback"
    FANOUT_CALL = "fanout-call"
    FANOUT_ON_FINAL = "fanout-on-final"
    FANOUT_ON_TARGET = "fanout-on-target"
    PARALLEL_EXEC_CALL = "parallel-exec-call"
    PARALLEL_EXEC_ON_TARGET = "parallel-exec-on-target"
    PUBLISH = "publish"
    WEB_SOCKET = "websocket"
    SERVICE = "service"
    URL_DATA = "url-data"
    WORKER = "worker"
    AMQP = "amqp"


class DATA_FORMAT:
    """Data formats of channels."""

    JSON = "json"
    XML = "xml"
    CSV = "csv"
    DICT = "dict"
    POST = "form"
    FORM_DATA = "form"
    TEXT = "text"


class SCHEDULER:
    """Words of the scheduler."""

    class JOB_TYPE:
        """Types of jobs."""

        ONE_TIME = "one_time"
        INTERVAL_BASED = "interval_based"
        CRON_STYLE = "cron_style"


class URL_TYPE:
    """What an address is for."""

    SOAP = "soap"
    PLAIN_HTTP = "plain_http"


class CONNECTION:
    """Which side opens a connection."""

    CHANNEL = "channel"
    OUTGOING = "outgoing"


class CACHE:
    """Words of caches."""

    class TYPE:
        """Types of caches."""

        BUILTIN = "builtin"
        MEMCACHED = "memcached"

    class DEFAULT:
        """The cache that there is without being made."""

        NAME = "default"


class PUBSUB:
    """Words of topics."""

    class PRIORITY:
        """Priorities of messages."""

        DEFAULT = 5
        MIN = 1
        MAX = 9


class HTTP_SOAP:
    """Words of HTTP channels."""

    class ACCEPT:
        """What matches every media type."""

        ANY = "*/*"

    class METHOD:
        """What matches every method."""

        ANY_INTERNAL = "hap"


class PARAMS_PRIORITY:
    """Whether parameters of the channel or elements of the message win."""

    CHANNEL_PARAMS_OVER_MSG = "channel-params-over-msg"
    MSG_OVER_CHANNEL_PARAMS = "msg-over-channel-params"
    DEFAULT = CHANNEL_PARAMS_OVER_MSG


class URL_PARAMS_PRIORITY:
    """Whether parameters of the query string or of the path win."""

    QS_OVER_PATH = "qs-over-path"
    PATH_OVER_QS = "path-over-qs"
    DEFAULT = QS_OVER_PATH


class SIMPLE_IO:
    """Words of inputs and outputs."""

    class FORMAT:
        """Data formats."""

        JSON = "json"
        XML = "xml"
        CSV = "csv"
        FORM_DATA = POST = "form"


class EMAIL:
    """Words of mail."""

    class SMTP:
        """How a connection to a server of mail is encrypted."""

        class MODE:
            """The ways there are."""

            PLAIN = "plain"
            SSL = "ssl"
            STARTTLS = "starttls"


class HTTP_METHOD:
    """Methods of HTTP."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"


class CONTENT_TYPE:
    """Media types."""

    JSON = "application/json"
    PLAIN_XML = "application/xml"
    SOAP11 = "text/xml"
    SOAP12 = "application/soap+xml; charset=utf-8"
    CSV = "text/csv"
    FORM = "application/x-www-form-urlencoded"
    OCTET_STREAM = "application/octet-stream"
    TEXT = "text/plain"


class SEC_DEF_TYPE:
    """Types of security definitions, as `self.channel.security.type` has them."""

    APIKEY = "api-key"
    BASIC_AUTH = "basic-auth"
    JWT = "jwt"
    TLS_CHANNEL_SEC = "mutual-tls"


class LOG_LEVEL:
    """Levels of log lines."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class SMTPMessage:
    """A message to be sent."""

    def __init__(
        self,
        from_: Any = None,
        to: Any = None,
        subject: str = "",
        body: str = "",
        attachments: Any = None,
        cc: Any = None,
        bcc: Any = None,
        is_html: bool = False,
        headers: Any = None,
        charset: str = "utf8",
        is_rfc2231: bool = True,
    ) -> None:
        self.from_, self.to, self.cc, self.bcc = from_, to, cc, bcc
        self.subject, self.body, self.is_html = subject, body, is_html
        self.attachments = list(attachments or ())
        self.headers = dict(headers or {})
        self.charset, self.is_rfc2231 = charset, is_rfc2231

    def attach(self, name: str, contents: Any) -> None:
        """Attaches a file."""
        self.attachments.append({"name": name, "contents": contents})
