"""Global variables (dli-contract §1.20): texts that ``{{name}}`` in a job stands for. ``is_success`` is a boolean here.

Every user of a project sees its variables and may add to them; a variable is changed and deleted by whoever created it
and by the project's administrators. The value of a sensitive variable goes in and never comes out again.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers, link
from headrace.api.fields import Text, Wire, shaped
from headrace.api.services import Parts, Services
from headrace.domain.errors import BadField, NotAuthorised, VariableNotFound
from headrace.domain.rights import Standing, Thing
from headrace.domain.variables import MAX_VALUE, NAME, NAME_RULE, is_name
from headrace.store.variables import Variable

router = APIRouter()


Name = Annotated[Text, shaped(NAME, NAME_RULE), Field(description=f"Its name; {NAME_RULE}.", examples=["topic"])]
Value = Annotated[
    str,
    Field(
        description="What {{name}} stands for. No control characters but tab and line breaks.",
        json_schema_extra={"maxLength": MAX_VALUE, "pattern": r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F]*$"},
        examples=["orders-2"],
    ),
]
"""Looked at by ``_stored``, whose refusal does not show it: it may be a secret."""

NameInPath = Annotated[str, Path(description="The variable's name.", examples=["topic"])]


class CreateVariable(Wire):
    """POST variables."""

    var_name: Name
    var_value: Value
    is_sensitive: Annotated[
        bool | None, Field(description="Kept sealed, never shown, and not put into jobs. Default: false.")
    ] = None


class UpdateVariable(Wire):
    """PUT variables/{var_name}; whether it is sensitive stays."""

    var_value: Value


class VariableAnswer(Answer):
    """It is done."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty.")]


class VariableFields(Answer):
    """One variable."""

    id: Annotated[int, Field(description="Unique over all projects.")]
    var_name: Annotated[str, Field(description="Its name.", examples=["topic"])]
    var_value: Annotated[str, Field(description="Empty for a sensitive one.", examples=["orders-2"])]
    project_id: Annotated[str, Field(description="The project.")]
    user_id: Annotated[str, Field(description="Id of its creator.")]
    user_name: Annotated[str, Field(description="Name of its creator.", examples=["ann"])]
    is_sensitive: Annotated[bool, Field(description="Whether its value is sealed and never shown.")]
    create_time: Annotated[int, Field(description="Epoch milliseconds.")]
    update_time: Annotated[int, Field(description="Epoch milliseconds.")]


class VariablesAnswer(Answer):
    """One page of the project's variables, oldest first."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty.")]
    count: Annotated[int, Field(description="Number of all variables of the project.")]
    global_vars: Annotated[list[VariableFields], Field(description="The page.")]


_NEW = {"var_name": "$request.body#/var_name"}
AFTER_CREATE = {
    "update": link("variables_update", _NEW, body={"var_value": "another"}),
    "delete": link("variables_delete", _NEW),
}
"""What can be done with a new variable."""


@router.post("/v1.0/{project_id}/variables", **answers(VariableAnswer, links=AFTER_CREATE))
def create(
    body: CreateVariable, access: Annotated[Access, needs(Standing.MEMBER, trace="createGlobalVariable")], parts: Parts
) -> dict[str, Any]:
    """A new variable of the project."""
    sensitive, now = body.is_sensitive or False, parts.now_ms()
    variable = Variable(
        project_id=access.project_id,
        name=body.var_name,
        value=_stored(parts, access.project_id, body.var_name, body.var_value, is_sensitive=sensitive),
        is_sensitive=sensitive,
        user_name=access.caller.user_name,
        user_id=access.caller.user_id,
        created_ms=now,
        updated_ms=now,
    )
    parts.variables.create(variable, trace=access.trace)
    return {"is_success": True, "message": ""}


class Page(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most variables in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Variables to leave out, from the oldest.")] = 0


@router.get("/v1.0/{project_id}/variables", **answers(VariablesAnswer))
def list_variables(
    page: Annotated[Page, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of the project's variables; values of sensitive ones are left out."""
    total, found = parts.variables.page(access.project_id, limit=page.limit, offset=page.offset)
    return {"is_success": True, "message": "", "count": total, "global_vars": [_shown(variable) for variable in found]}


@router.put("/v1.0/{project_id}/variables/{var_name}", **answers(VariableAnswer))
def update(
    var_name: NameInPath,
    body: UpdateVariable,
    access: Annotated[Access, needs(Standing.MEMBER, trace="updateGlobalVariable")],
    parts: Parts,
) -> dict[str, Any]:
    """Another value; jobs that are active keep the one that they were started with."""
    variable = _own(parts, access, var_name)
    value = _stored(parts, access.project_id, variable.name, body.var_value, is_sensitive=variable.is_sensitive)
    parts.variables.set_value(variable, value, now_ms=parts.now_ms(), trace=access.trace)
    return {"is_success": True, "message": ""}


@router.delete("/v1.0/{project_id}/variables/{var_name}", **answers(VariableAnswer))
def delete(
    var_name: NameInPath,
    access: Annotated[Access, needs(Standing.MEMBER, trace="deleteGlobalVariable")],
    parts: Parts,
) -> dict[str, Any]:
    """Deletes the variable, even if jobs refer to it: those that are active keep its value, others cannot be run."""
    parts.variables.delete(_own(parts, access, var_name), trace=access.trace)
    return {"is_success": True, "message": ""}


def _own(parts: Services, access: Access, name: str) -> Variable:
    """The variable, if the caller may change it; raises VariableNotFound, NotAuthorised."""
    if not is_name(name):
        raise VariableNotFound.of(name)
    variable = parts.variables.find(access.project_id, name)
    if not access.may(Standing.ADMIN, Thing((f"variables.{name}",), variable.user_name)):
        raise NotAuthorised(
            f"The variable {name} was created by {variable.user_name}. Only its creator and administrators of the "
            "project may change or delete it."
        )
    return variable


def _stored(parts: Services, project_id: str, name: str, value: str, *, is_sensitive: bool) -> str:
    """What is stored of a value; raises BadField, without the value."""
    if len(value) > MAX_VALUE:
        raise BadField("var_value", f"{len(value)} characters", f"at most {MAX_VALUE} are allowed")
    if any((ord(char) < 32 and char not in "\t\n\r") or 0xD800 <= ord(char) < 0xE000 for char in value):
        raise BadField("var_value", "…", "must not hold control characters or halves of surrogate pairs")
    return parts.vault.seal(value, f"variable {project_id} {name}") if is_sensitive else value


def _shown(variable: Variable) -> dict[str, Any]:
    return {
        "id": variable.id,
        "var_name": variable.name,
        "var_value": "" if variable.is_sensitive else variable.value,
        "project_id": variable.project_id,
        "user_id": variable.user_id,
        "user_name": variable.user_name,
        "is_sensitive": variable.is_sensitive,
        "create_time": variable.created_ms,
        "update_time": variable.updated_ms,
    }
