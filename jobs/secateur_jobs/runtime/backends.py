"""What a storage backend's error means: worth another try, or refused with cause and remedy.

fsspec hands on what the backend's own client raises (botocore, aiohttp, gcsfs, the operating system). Those
that are not installed are known by the names of their errors.
"""

from __future__ import annotations

import errno
import re

from secateur_api.conditions import Reason
from secateur_api.uri import redacted
from secateur_jobs.runtime.errors import (
    Absent,
    InvalidInput,
    MissingData,
    Retryable,
    StageError,
    from_os_error,
)

_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "NoAuthTokenError",
    "ProfileNotFound",
    "DefaultCredentialsError",
}
_WRONG_KEY = {
    "InvalidAccessKeyId",
    "XAdminUserNotFound",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
}
_WRONG_REQUEST = {"ParamValidationError", "InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError"}
_PASSING = {408, 409, 425, 429}
_FULL = {507}
_PASSING_ERRNO = {
    errno.EBUSY,  # how s3fs says 409 and 503
    errno.EIO,
    errno.EREMOTEIO,
    errno.EAGAIN,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
}


def explain(
    error: Exception, uri: str, refused: Reason, where: str = "", *, local: bool = False
) -> StageError:
    """Return what ``error``, raised while ``uri`` was read or written, means.

    ``refused`` is the reason where another try cannot help; ``where`` begins the message
    (``spec.code.uri: ``). A missing file is MissingData(``refused``).
    """
    shown = f"{where}{redacted(uri)}"
    names = {kind.__name__ for kind in type(error).__mro__} | {_code(error)}
    if _is_absent(error) and "NoSuchBucket" not in names:
        return Absent(refused, f"{shown}: there is nothing at that address")
    if local and isinstance(error, OSError):
        return from_os_error(error)
    said, status = _said(error), _status(error)
    if names & _NO_CREDENTIALS or status == 401:
        return InvalidInput(refused, f"{shown}: there are no credentials for it ({said}); {_remedy(uri)}")
    if names & _WRONG_KEY:
        return InvalidInput(refused, f"{shown}: the credentials are not accepted ({said}); {_remedy(uri)}")
    if status == 403 or isinstance(error, PermissionError):
        return InvalidInput(
            refused,
            f"{shown}: access is denied ({said}); give these credentials the right to it, or use others",
        )
    if names & {"NoSuchBucket", "InvalidBucketName"}:
        return MissingData(refused, f"{shown}: there is no such bucket; make it, or correct the URI")
    if status == 404:
        return Absent(refused, f"{shown}: there is nothing at that address")
    if status in _FULL or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return Retryable(Reason.STORE_FULL, f"{shown}: no space left ({said}); free some space")
    if _is_refusal(error, status, names):
        return InvalidInput(refused, f"{shown}: refused ({said}); correct the URI, or what it leads to")
    return Retryable(Reason.STORE_UNAVAILABLE, f"{shown}: {said}; it does not answer, or is too busy")


def _is_absent(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return True
    return isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)


def _is_refusal(error: Exception, status: int | None, names: set[str]) -> bool:
    if status is not None:
        return 400 <= status < 500 and status not in _PASSING
    if names & _WRONG_REQUEST or isinstance(error, (ValueError, NotImplementedError)):
        return True
    if isinstance(error, (TimeoutError, ConnectionError)) or not isinstance(error, OSError):
        return False
    return error.errno is not None and error.errno not in _PASSING_ERRNO


def _said(error: Exception) -> str:
    text = redacted(" ".join(str(error).split()))
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    return text[:200] if len(text) > 1 else f"{type(error).__name__} {text}".strip()


def _code(error: Exception) -> str:
    """Return botocore's code of an error, or of the one that it was made from; else nothing."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int | None:
    """Return the HTTP status that the server answered with, if it did."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(one, "status", None)  # aiohttp
            found = getattr(response, "status_code", None) if found is None else found  # requests
            found = getattr(one, "code", None) if found is None else found  # gcsfs
        if isinstance(found, str) and found.isdecimal():
            found = int(found)
        if isinstance(found, int) and 400 <= found < 600:
            return found
    return None


def _remedy(uri: str) -> str:
    if uri.startswith("s3"):
        return (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on a cluster by the Secret that "
            "spec.store.secret names"
        )
    return "give the stages what its client reads them from, on a cluster by the Secret of spec.store"
