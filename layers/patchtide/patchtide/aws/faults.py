"""AWS's errors become ours: refused for good, or only for now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from patchtide.core.errors import Busy, Refused

# What may go away by itself. botocore has retried the throttles among them already; AutomationExecutionLimitExceeded and
# the like it does not retry.
_PASSING = frozenset(
    {
        "AutomationExecutionLimitExceededException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


@contextmanager
def asking(action: str) -> Iterator[None]:
    """Whatever botocore raises inside comes out as Busy or Refused, named after the action."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        message = error.response.get("Error", {}).get("Message", str(error))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        raise (Busy if code in _PASSING or status >= 500 else Refused)(action, code, message) from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise Busy(action, type(error).__name__, str(error)) from error
    except BotoCoreError as error:
        raise Refused(action, type(error).__name__, str(error)) from error
