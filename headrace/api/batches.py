"""Run, stop and delete, of many jobs at once: each on its own, so that one that is refused leaves the others done."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from headrace.api.access import Access, needs
from headrace.api.answers import ErrorAnswer, answers
from headrace.api.checks import check_job, general_queue
from headrace.api.errors import error_body
from headrace.api.job_answers import BatchAnswer, BatchRefused
from headrace.api.language import told
from headrace.api.services import Parts, Services
from headrace.api.wire import JobIds, RunJobs, StopJobs, status_of
from headrace.domain.errors import (
    BadField,
    HeadraceError,
    NoQueueSelected,
    NoSavepoint,
    TopicUnknown,
    Unavailable,
    WrongState,
)
from headrace.domain.job import AT_REST, Desired, Goal, Job, Phase
from headrace.domain.queue import Claim, check_fits
from headrace.domain.rights import JobRight, QueueRight, queue_thing
from headrace.store.jobs import StaleJob, shown_phase

router = APIRouter()

PATIENCE = 20
"""How often a write that another one has overtaken is begun anew."""

BATCH = answers(
    BatchAnswer,
    also={400: {"model": BatchRefused | ErrorAnswer, "description": "All were refused, or the request is wrong"}},
)

STOPPABLE = frozenset(
    {
        Phase.PREPARING,
        Phase.WAITING,
        Phase.STARTING,
        Phase.RUNNING,
        Phase.SAVING,
        Phase.STOP_FAILED,
        Phase.RESTARTING,
    }
)


@router.post("/v1.0/{project_id}/streaming/jobs/run", **BATCH)
def run(
    body: RunJobs, access: Annotated[Access, needs(JobRight.START, trace="submitStreamJobs")], parts: Parts
) -> JSONResponse:
    """Asks for each job to be run."""
    # Once per name: topics may be elsewhere, and of a name that many jobs share the answer is the same for all.
    parts = replace(parts, topic_exists=functools.cache(parts.topic_exists))

    def one(job_id: int) -> None:
        ask(access, parts, job_id, lambda job: _to_run(access, parts, job, body.resume_savepoint or False))

    return _each(body, one, "The request for submitting DLI jobs is successfully delivered.")


@router.post("/v1.0/{project_id}/streaming/jobs/stop", **BATCH)
def stop(
    body: StopJobs, access: Annotated[Access, needs(JobRight.STOP, trace="stopStreamJobs")], parts: Parts
) -> JSONResponse:
    """Asks for each job to be stopped."""

    def one(job_id: int) -> None:
        ask(access, parts, job_id, lambda job: _to_stop(parts, job, body.trigger_savepoint or False))

    return _each(body, one, "The request for stopping DLI jobs is successfully delivered.")


@router.post("/v1.0/{project_id}/streaming/jobs/delete", **BATCH)
def delete(
    body: JobIds, access: Annotated[Access, needs(JobRight.DELETE, trace="deleteStreamJobs")], parts: Parts
) -> JSONResponse:
    """Deletes each job, in whatever state it is."""
    return _each(body, lambda job_id: delete_job(access, parts, job_id), "The job is successfully deleted.")


def delete_job(access: Access, parts: Services, job_id: int) -> None:
    """Asks for the job to be deleted; raises JobNotFound, NotAuthorised."""
    ask(access, parts, job_id, lambda job: next_request(parts, job, Goal.DELETE))


def _to_run(access: Access, parts: Services, job: Job, resume_savepoint: bool) -> Desired:  # noqa: FBT001
    spec = job.spec
    if job.record.phase not in AT_REST or job.request_pending:
        raise WrongState(f"The job {job.id} is {status_of(job)}. Only a job that is not active can be run.")
    if not spec.queue_name:
        raise NoQueueSelected("No job-running queue selected. Please select a queue for your job.")
    if not spec.entrypoint:
        raise BadField("entrypoint", spec.entrypoint, "the job has no JAR to run; set it by an update")
    shape = check_job(parts, job.project_id, spec, running=True)
    queue = general_queue(parts, job.project_id, spec.queue_name)
    access.demand(QueueRight.SUBMIT_JOB, queue_thing(queue.name, queue.owner))
    if spec.smn_topic and not parts.topic_exists(job.project_id, spec.smn_topic):
        raise TopicUnknown.of(spec.smn_topic)
    claim = Claim(job.id, queue.name, shape.cu_milli, shape.memory_mb)
    check_fits(claim, queue.cu_milli, parts.memory_capacity_mb())
    if resume_savepoint and not job.record.savepoint_path:
        raise NoSavepoint(
            f"The job {job.id} has no savepoint to resume from. Run it with resume_savepoint=false, or stop it with "
            "trigger_savepoint=true next time."
        )
    return replace(next_request(parts, job, Goal.RUN), resume_savepoint=resume_savepoint)


def _to_stop(parts: Services, job: Job, trigger_savepoint: bool) -> Desired:  # noqa: FBT001
    phase = shown_phase(job)
    if phase is Phase.SAVEPOINTING and trigger_savepoint:
        raise WrongState(
            f"The job {job.id} is {status_of(job)} already. Stop it with trigger_savepoint=false to give up on that."
        )
    restarts = phase is Phase.CLEARING and job.record.outcome is Phase.RESTARTING
    if phase is Phase.CLEARING and not restarts:
        raise WrongState(f"The job {job.id} has just ended by itself.")
    if phase not in STOPPABLE and phase is not Phase.SAVEPOINTING and not restarts:
        raise WrongState(
            f"The job {job.id} is {status_of(job)}. Only a job that is submitting or running can be stopped."
        )
    if job.desired.goal is Goal.STOP and job.request_pending:  # repeated before it was seen: still one request
        return replace(job.desired, trigger_savepoint=trigger_savepoint)
    kept = job.desired.savepoint_target  # of a savepoint that is being made just now
    return replace(next_request(parts, job, Goal.STOP), trigger_savepoint=trigger_savepoint, savepoint_target=kept)


def next_request(parts: Services, job: Job, goal: Goal) -> Desired:
    """The request that follows the job's last one."""
    return Desired(goal=goal, request_no=job.desired.request_no + 1, requested_ms=parts.now_ms())


def overtaken(access: Access, job_id: int, change: Callable[[Job], Job]) -> Job:
    """Changes the job as it is now; begun anew as often as somebody else was faster."""
    for _ in range(PATIENCE):
        try:
            return change(access.job(job_id))
        except StaleJob:
            continue
    raise Unavailable(f"The job {job_id} changes too often to be changed now. Try again.")


def ask(access: Access, parts: Services, job_id: int, wanted: Callable[[Job], Desired]) -> None:
    """Records what is wanted of the job, and has it looked at soon."""
    overtaken(access, job_id, lambda job: parts.jobs.request(job, wanted(job), trace=access.trace))
    parts.nudge(job_id)


def _each(body: JobIds, one: Callable[[int], None], message: str) -> JSONResponse:
    """Does ``one`` for each id, and answers with one element for each, in their order.

    DLI answers with status 400 when all are refused; its answer to a mixture is not documented. Ours is status 200,
    where each refused element has ``"is_success": "false"`` and the error.

    Raises:
        Unavailable: nothing was done, as a part of Headrace does not answer now.
    """
    refusals: dict[int, HeadraceError | None] = {}
    for job_id in dict.fromkeys(body.job_ids):
        try:
            one(job_id)
        except Unavailable as error:
            refusals |= {job_id: error, **_not_tried(body, refusals, job_id)}
            break
        except HeadraceError as error:
            refusals[job_id] = error
        else:
            refusals[job_id] = None
    if all(refusals.values()):
        for refusal in refusals.values():
            if isinstance(refusal, Unavailable):  # clients send it again by themselves
                raise refusal
        errors = (refusals[job_id] for job_id in body.job_ids)
        return JSONResponse([error_body(error) for error in errors if error is not None], 400)
    return JSONResponse([_element(refusals[job_id], message) for job_id in body.job_ids])


def _not_tried(body: JobIds, done: Mapping[int, object], failed: int) -> dict[int, HeadraceError]:
    """What follows the job for which a part did not answer: each would wait as long for the same."""
    return {
        job_id: Unavailable(f"The job {job_id} was not looked at, as there was no answer for {failed}. Try again.")
        for job_id in body.job_ids
        if job_id not in done and job_id != failed
    }


def _element(error: HeadraceError | None, message: str) -> dict[str, Any]:
    if error is None:
        return {"is_success": "true", "message": told(message)}
    told_error = error_body(error)
    return {"is_success": "false", "message": told_error["error_msg"], **told_error}
