"""Jobs that were found in files become jobs of the project: all that can, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from headrace.api.access import Access
from headrace.api.batches import PATIENCE
from headrace.api.checks import check_job, check_use
from headrace.api.exported import Found
from headrace.api.language import told
from headrace.api.services import Services
from headrace.api.wire import status_of
from headrace.domain.errors import HeadraceError, NameTaken, Unavailable
from headrace.domain.job import AT_REST, Job
from headrace.domain.rights import ALL_JOBS, JobRight, job_thing
from headrace.store.jobs import Draft, StaleJob


def bring_in(parts: Services, access: Access, found: Sequence[Found], *, is_cover: bool) -> list[dict[str, Any]]:
    """Makes jobs of them; the ``job_mapping`` of the answer, in their order.

    A job whose name is taken is left out, unless ``is_cover`` and the job of that name is one that the caller sees and
    that is not active: then it is replaced.

    Raises:
        NameTaken: two of them have one name.
        NotAuthorised: the caller may not create jobs, or not update one that would be replaced.
        Refused: one of them could not be created.
        Unavailable: others change the same jobs all the time.
    """
    _refuse_same_names(found)
    for attempt in range(PATIENCE):
        taken = parts.jobs.named(access.project_id, [job.spec.name for job in found])
        if any(job.spec.name not in taken for job in found):
            access.demand(JobRight.CREATE, ALL_JOBS)
        hindrances = {name: _hindrance(access, job, is_cover=is_cover) for name, job in taken.items()}
        if attempt == 0:
            _check(parts, access, found)
        chosen = [job for job in found if not hindrances.get(job.spec.name)]
        drafts = [Draft(job.spec, job.tags, taken.get(job.spec.name)) for job in chosen]
        try:
            ids = parts.jobs.bring_in(access.caller, drafts, now_ms=parts.now_ms(), trace=access.trace)
        except StaleJob:
            continue
        made = dict(zip((job.spec.name for job in chosen), ids, strict=True))
        return [_mapping(job, made.get(job.spec.name), hindrances.get(job.spec.name)) for job in found]
    raise Unavailable("The jobs change too often to be replaced now. Try again.")


def _refuse_same_names(found: Sequence[Found]) -> None:
    """Two exports of one job in a folder are refused, as in DLI, even if jobs shall be replaced."""
    first: dict[str, Found] = {}
    for job in found:
        other = first.setdefault(job.spec.name, job)
        if other is not job:
            raise NameTaken(
                f"The job name already exists: {job.spec.name} is in {other.where} and in {job.where}. Leave one of "
                "them out."
            )


def _hindrance(access: Access, job: Job, *, is_cover: bool) -> str:
    """Why the job stays as it is; "" = it is replaced. Raises NotAuthorised."""
    if not is_cover or not access.sees_job(job):
        return told("The job name already exists.")
    access.demand(JobRight.UPDATE, job_thing(job.id, job.user_name))
    if job.record.phase not in AT_REST or job.request_pending:
        return told("The job of this name is {0}. Stop it, and import again.", status_of(job))
    return ""


def _check(parts: Services, access: Access, found: Sequence[Found]) -> None:
    for job in found:
        with _placed(job.where):
            check_use(access, parts, job.spec)
            check_job(parts, access.project_id, job.spec)


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Says in which file it is that something is wrong; the error stays the one that a create would get."""
    try:
        yield
    except HeadraceError as error:
        error.args = (f"{where}: {error}",)
        raise


def _mapping(job: Found, new_id: int | None, hindrance: str | None) -> dict[str, Any]:
    if new_id is None:
        return {"old_job_id": job.job_id, "new_job_id": -1, "remark": hindrance}
    done = told("Job successfully created") if hindrance is None else told("Job successfully overwritten")
    return {"old_job_id": job.job_id, "new_job_id": new_id, "remark": done}
