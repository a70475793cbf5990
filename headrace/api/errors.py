"""The one table of errors: type -> HTTP status and DLI code; and how an error is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from headrace.api import smn_errors
from headrace.api.language import CHINESE, KINDS
from headrace.domain import errors
from headrace.domain.errors import BadField, BodyTooSlow, HeadraceError, MalformedBody, RouteNotFound, TooManyAttempts

# Error type -> (HTTP status, DLI code). The codes are those of dli-contract §6; where DLI tells none, our choice stands
# in docs/compatibility.md. Types that only group others have a row as well, for those that come later.
TABLE: Mapping[type[HeadraceError], tuple[int, str]] = {
    errors.Refused: (400, "DLI.0001"),
    errors.BadField: (400, "DLI.0001"),
    errors.MalformedBody: (400, "DLI.0001"),
    errors.BodyTooLarge: (413, "DLI.0009"),
    errors.BodyTooSlow: (408, "DLI.0019"),
    errors.NotSupported: (400, "DLI.0007"),
    errors.NameTaken: (400, "DLI.0006"),
    errors.WrongState: (400, "DLI.0007"),
    errors.NoQueueSelected: (400, "DLI.13024"),
    errors.NeverFits: (400, "DLI.0009"),
    errors.JobNotFound: (400, "DLI.16001"),
    errors.QueueNotFound: (400, "DLI.0002"),
    errors.QueueInUse: (400, "DLI.0007"),
    errors.PoolNotFound: (400, "DLI.0002"),
    errors.PoolInUse: (400, "DLI.0007"),
    errors.TaskNotFound: (400, "DLI.0002"),
    errors.QuotaExceeded: (400, "DLI.1028"),
    errors.TooManySubscriptions: (400, "DLI.1028"),
    errors.VariableTaken: (400, "DLI.0999"),  # not 0006: the page of this call names this one
    errors.VariableNotFound: (400, "DLI.12004"),
    errors.TopicUnknown: (400, "DLI.0002"),
    errors.TopicNotFound: (404, "DLI.0002"),
    errors.SubscriptionNotFound: (404, "DLI.0002"),
    errors.NoticeNotFound: (404, "DLI.0002"),
    errors.BadBundle: (400, "DLI.0001"),
    errors.PackageNotFound: (400, "DLI.12002"),
    errors.PackageAbsent: (404, "DLI.12002"),
    errors.PackageInUse: (400, "DLI.0007"),
    errors.ObjectNotFound: (400, "DLI.12002"),
    errors.BucketNotFound: (400, "DLI.11016"),
    errors.BadJar: (400, "DLI.0001"),
    errors.IdentityNotFound: (404, "DLI.0002"),
    errors.IdentityConflict: (409, "DLI.0006"),
    errors.TooManyAttempts: (429, "DLI.0009"),
    errors.AskedTooOften: (429, "DLI.0009"),
    errors.NoSavepoint: (400, "DLI.0007"),
    errors.EngineUnknown: (400, "DLI.0001"),
    errors.EngineInUse: (400, "DLI.0007"),
    errors.NotAuthenticated: (401, "DLI.0013"),
    errors.NotAuthorised: (403, "DLI.0016"),
    errors.RouteNotFound: (404, "DLI.0023"),
    errors.Unavailable: (503, "DLI.0999"),
    errors.StoreSilent: (503, "DLI.0999"),
    errors.StoreBusy: (503, "DLI.0999"),
    errors.ObjectReplaced: (503, "DLI.0999"),
    errors.StoreRefused: (503, "DLI.0999"),
    errors.BucketForbidden: (400, "DLI.11016"),  # in DLI too, a bucket that it is not authorised for
    errors.StoreFull: (503, "DLI.0999"),
    errors.EngineBroken: (503, "DLI.0999"),
    errors.HomeUnusable: (503, "DLI.0999"),
}


def error_body(error: HeadraceError) -> dict[str, str]:
    """DLI's body of one error."""
    return coded(row(error)[1], str(error))


def coded(code: str, text: str) -> dict[str, str]:
    """DLI's body of an error; in an answer in Chinese the error's kind stands before the text."""
    return {"error_code": code, "error_msg": f"{KINDS[code]}:{text}" if CHINESE.get() else text}


def row(error: HeadraceError) -> tuple[int, str]:
    """(HTTP status, DLI code) of the error's class, or of the nearest one above it in the tree."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


UNEXPECTED = "Server-side error. The server's log tells the cause under this answer's X-Request-Id."
IDENTITY = re.compile(
    r"/|/v3/?|/v3/(auth|domains|projects|role_assignments|roles|system|users)(/.*)?|/v3\.0(/.*)?", re.S
)
"""Paths of the Identity API, whose clients read Keystone's shape of an error; DLI's is there as well."""


def answer(error: Exception, path: str = "", request_id: str = "") -> Response:
    """The response that tells of an error, whatever it is; ``path``, ``request_id``: of the request."""
    status, told, headers = _told(error)
    if smn_errors.PATHS.fullmatch(path):
        found = bad_field(error.errors()) if isinstance(error, RequestValidationError) else error
        status, code = smn_errors.code_of(found, status)
        return JSONResponse({"request_id": request_id, "code": code, "message": told["error_msg"]}, status, headers)
    body: dict[str, Any] = dict(told)
    if IDENTITY.fullmatch(path):
        body["error"] = {"code": status, "message": told["error_msg"], "title": HTTPStatus(status).phrase}
    return JSONResponse(body, status, headers)


def _told(error: Exception) -> tuple[int, dict[str, str], Mapping[str, str] | None]:
    """(status, DLI's body, headers)."""
    match error:
        case TooManyAttempts():
            return row(error)[0], error_body(error), {"Retry-After": str(error.retry_after)}
        case BodyTooSlow():
            return row(error)[0], error_body(error), {"Connection": "close"}
        case HeadraceError():
            return row(error)[0], error_body(error), None
        case RequestValidationError():
            return _told(bad_field(error.errors()))
        case HTTPException(status_code=404):
            return _told(RouteNotFound("There is no such path. See docs/compatibility.md for all routes."))
        case HTTPException(status_code=405):
            return 405, coded("DLI.0023", "This path does not have this method."), error.headers
        case ClientDisconnect():
            return _told(MalformedBody("The connection ended before the request did; nothing was stored."))
        case _:
            return 500, coded("DLI.0999", UNEXPECTED), None


_REMEDIES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field; see docs/compatibility.md",
    "bool_type": "must be true or false, not text or a number",
    "int_type": "must be an integer of JSON, not text, true or false",
    "float_type": "must be a number of JSON",
    "string_type": "must be text",
    "list_type": "must be an array",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def bad_field(found: Sequence[Mapping[str, Any]]) -> HeadraceError:
    """The first thing that is wrong, as Headrace says it."""
    first = found[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    if not place:
        return MalformedBody("The body must be a JSON object, sent as Content-Type: application/json.")
    remedy = _REMEDIES.get(first["type"]) or str(first["msg"]).replace("Input should be", "must be").replace(
        "Value error, ", ""
    )
    return BadField(".".join(place), None if first["type"] == "missing" else first["input"], remedy)
