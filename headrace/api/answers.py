"""What answers look like, for the OpenAPI document: models that describe, and that the tests hold every answer to."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The body of an answer: it has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class ErrorAnswer(Answer):
    """DLI's body of every error."""

    error_code: Annotated[str, Field(pattern=r"^DLI\.[0-9]{4,5}$", description="DLI's code", examples=["DLI.0001"])]
    error_msg: Annotated[
        str,
        Field(
            description="What was wrong, with the value, and what to do; the kind in Chinese before it if asked",
            examples=["cu_number=1: must be greater than or equal to 2"],
        ),
    ]


REFUSALS = {
    400: "The request is wrong; nothing was changed",
    401: "No valid signature or token",
    403: "The caller may not do this",
    404: "No such path or thing",
    405: "The path does not have this method",
    408: "The request came too slowly; nothing was changed",
    413: "The body is too large",
    500: "An unexpected error; the server's log tells it under X-Request-Id",
    503: "A part that is needed does not answer now",
}


def link(operation: str, parameters: dict[str, str] | None = None, body: Any = None) -> dict[str, Any]:
    """An OpenAPI link to a route of the same project.

    Args:
        operation: its operationId, ``<module>_<function>`` (``headrace.api.openapi``).
        parameters: of its path or query -> OpenAPI expression, such as ``$response.body#/job/job_id``.
        body: its JSON body, with expressions in it.
    """
    found: dict[str, Any] = {
        "operationId": operation,
        "parameters": {"project_id": "$request.path.project_id", **(parameters or {})},
    }
    return found if body is None else {**found, "requestBody": body}


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
    # By reference, not by model: FastAPI would build a validator for each status of each route, seconds at the start.
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    responses: dict[int | str, Any] = {
        code: {"description": text, "content": content} for code, text in REFUSALS.items()
    }
    responses[status] = success
    return {"status_code": status, "responses": {**responses, **(also or {})}, "response_model": None}
