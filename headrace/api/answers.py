"""What answers look like, for the OpenAPI document: models that describe, and that the tests hold every answer to."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """The body of an answer: it has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class ErrorAnswer(Answer):
    """DLI's body of every error."""

    error_code: str
    error_msg: str


_REFUSALS = {
    400: "The request is wrong; nothing was changed",
    401: "No valid signature or token",
    403: "The caller may not do this",
    404: "No such path or thing",
    405: "The path does not have this method",
    408: "The request came too slowly",
    413: "The body is too large",
    500: "An unexpected error; the server's log tells it under X-Request-Id",
    503: "A part that is needed does not answer now",
}


def answers(
    model: Any = None, *, status: int = 200, links: dict[str, Any] | None = None, also: dict[int, Any] | None = None
) -> dict[str, Any]:
    """Keyword arguments of a route: ``@router.get(path, **answers(ListAnswer))``.

    Args:
        model: shape of the body at success; None = no body.
        status: HTTP status of success.
        links: OpenAPI links to the routes that can follow.
        also: other statuses that are not errors, or whose body is another: status -> OpenAPI response.
    """
    success: dict[str, Any] = {"description": "Success"}
    if model is not None:
        success["model"] = model
    if links:
        success["links"] = links
    responses: dict[int | str, Any] = {
        code: {"model": ErrorAnswer, "description": text} for code, text in _REFUSALS.items()
    }
    responses[status] = success
    return {"status_code": status, "responses": {**responses, **(also or {})}, "response_model": None}
