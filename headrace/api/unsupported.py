"""What DLI has and Headrace does not: Flink SQL jobs and their templates, graphs of SQL, plans of a queue's CUs.

Each answers in DLI's shape that it is not supported, whatever the body. A list of what nobody can make is an empty one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import needs
from headrace.api.answers import Answer, ErrorAnswer, answers
from headrace.api.queue_answers import DoneAnswer
from headrace.domain.errors import NotSupported
from headrace.domain.rights import Standing

router = APIRouter()

STREAMING = "/v1.0/{project_id}/streaming"
PLANS = "/v1/{project_id}/queues/{queue_name}/plans"

MEMBER: dict[str, Any] = {"dependencies": [needs(Standing.MEMBER)]}
SEES: dict[str, Any] = {"dependencies": [needs(Standing.SEES)]}
REFUSED = answers(
    status=400, also={400: {"model": ErrorAnswer, "description": "Always: Headrace does not have this (DLI.0007)"}}
)

SQL = (
    "The operation is not supported: Headrace runs Flink JAR jobs, not Flink SQL. Make a JAR job of it: POST "
    "…/streaming/flink-jobs."
)
GRAPH = (
    "The operation is not supported: a static graph is made of Flink SQL, which Headrace does not run. The graph of a "
    "JAR job that has run: GET …/streaming/jobs/{job_id}/execute-graph."
)
SINKS = "The operation is not supported: there are no API gateways, and DLI itself has none for jobs any more."
PLAN = (
    "The operation is not supported: the CUs of a queue do not follow a plan. Scale it: PUT "
    "…/queues/{queue_name}/action."
)


class TemplateList(Answer):
    """None."""

    total_count: Annotated[int, Field(description="0.", ge=0, le=0)]
    templates: Annotated[list[Any], Field(description="Empty.", max_length=0)]


class TemplatesAnswer(DoneAnswer):
    """No templates."""

    template_list: Annotated[TemplateList, Field(description="None")]


class PlansAnswer(DoneAnswer):
    """No plans."""

    plans: Annotated[list[Any], Field(description="Empty.", max_length=0)]


class TemplatesQuery(BaseModel):
    """Query of the list; without effect, as there are none."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64, description="Part of a name.")] = ""
    tags: Annotated[str, Field(max_length=10_000, description="key=value,…")] = ""
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Templates to leave out.")] = 0
    limit: Annotated[int, Field(ge=0, le=2**31 - 1, description="Most templates in one answer.")] = 10
    order: Annotated[Literal["asc", "desc"], Field(description="By creation time.")] = "desc"


@router.post(f"{STREAMING}/sql-jobs", **REFUSED, **MEMBER)
def create_sql_job() -> NoReturn:
    """Not supported: Flink SQL jobs."""
    raise NotSupported(SQL)


@router.put(f"{STREAMING}/sql-jobs/{{job_id}}", **REFUSED, **MEMBER)
def update_sql_job() -> NoReturn:
    """Not supported: Flink SQL jobs."""
    raise NotSupported(SQL)


@router.post("/v3/{project_id}/streaming/jobs/{job_id}/gen-graph", **REFUSED, **MEMBER)
def generate_graph() -> NoReturn:
    """Not supported: the graph of a Flink SQL job before it runs."""
    raise NotSupported(GRAPH)


@router.get(f"{STREAMING}/jobs/{{job_id}}/apig-sinks", **REFUSED, **MEMBER)
def list_apig_sinks() -> NoReturn:
    """Not supported: the API gateways that a job writes to."""
    raise NotSupported(SINKS)


@router.get(f"{STREAMING}/job-templates", **answers(TemplatesAnswer), **MEMBER)
def list_templates(query: Annotated[TemplatesQuery, Query()]) -> dict[str, Any]:
    """No templates: they hold SQL."""
    del query  # there is nothing to choose from
    none: list[dict[str, Any]] = []
    return {"is_success": True, "message": "", "template_list": {"total_count": 0, "templates": none}}


@router.post(f"{STREAMING}/job-templates", **REFUSED, **MEMBER)
def create_template() -> NoReturn:
    """Not supported: templates of Flink SQL jobs."""
    raise NotSupported(SQL)


@router.put(f"{STREAMING}/job-templates/{{template_id}}", **REFUSED, **MEMBER)
def update_template() -> NoReturn:
    """Not supported: templates of Flink SQL jobs."""
    raise NotSupported(SQL)


@router.delete(f"{STREAMING}/job-templates/{{template_id}}", **REFUSED, **MEMBER)
def delete_template() -> NoReturn:
    """Not supported: templates of Flink SQL jobs."""
    raise NotSupported(SQL)


@router.get(PLANS, **answers(PlansAnswer), **SEES)
def list_plans() -> dict[str, Any]:
    """No plans: the CUs of a queue change only when somebody scales it."""
    return {"is_success": True, "message": "", "plans": list[dict[str, Any]]()}


@router.post(PLANS, **REFUSED, **SEES)
def create_plan() -> NoReturn:
    """Not supported: scaling by a plan."""
    raise NotSupported(PLAN)


@router.post(f"{PLANS}/batch-delete", **REFUSED, **SEES)
def delete_plans() -> NoReturn:
    """Not supported: scaling by a plan."""
    raise NotSupported(PLAN)


@router.put(f"{PLANS}/{{plan_id}}", **REFUSED, **SEES)
def update_plan() -> NoReturn:
    """Not supported: scaling by a plan."""
    raise NotSupported(PLAN)


@router.delete(f"{PLANS}/{{plan_id}}", **REFUSED, **SEES)
def delete_plan() -> NoReturn:
    """Not supported: scaling by a plan."""
    raise NotSupported(PLAN)
