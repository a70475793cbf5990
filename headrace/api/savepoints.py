"""Savepoints on demand: made of a running job, and put into a job at rest (dli-contract §1.11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.api.batches import ask, next_request, overtaken
from headrace.api.fields import Checked, JobId, Text, Wire, up_to
from headrace.api.language import told
from headrace.api.services import Parts, Services
from headrace.api.wire import status_of
from headrace.domain.errors import BadField, ObjectNotFound, WrongState
from headrace.domain.job import AT_REST, Desired, Goal, Job, Phase
from headrace.domain.places import SCHEMES, bare
from headrace.domain.rights import JobRight
from headrace.objects.paths import MAX_KEY_BYTES, ObjectRef, check_bucket, check_key
from headrace.store.jobs import shown_phase

router = APIRouter()

FIELD = "savepoint_path"
METADATA = "_metadata"
MAGIC = bytes.fromhex("4960672d")
"""What every ``_metadata`` begins with: ``org.apache.flink.runtime.checkpoint.Checkpoints.HEADER_MAGIC_NUMBER``."""

PLACE = f"(?:{SCHEMES})?[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}/.+"
"""A folder in a bucket, for the document; ``_folder`` looks at it more closely."""
LONGEST = up_to(len("obs://") + 63 + 1 + MAX_KEY_BYTES + 1)


class TriggerSavepoint(Wire):
    """POST jobs/{job_id}/savepoint."""

    action: Annotated[Literal["TRIGGER"], Field(description="What to do; there is one thing only.")]
    savepoint_path: Annotated[
        Annotated[Text, Checked(str, {"pattern": f"^(?:{PLACE})?$"}), LONGEST] | None,
        Field(
            description="The folder below which it goes, in a bucket of the project, with or without obs://. "
            "Default: <obs_bucket>/jobs/savepoint/<job id>/<time>/.",
            examples=["obs://my-bucket/savepoints/"],
        ),
    ] = None


class ImportSavepoint(Wire):
    """POST jobs/{job_id}/import-savepoint."""

    job_id: Annotated[JobId, Field(description="The job's id, as in the path.", examples=[138])]
    savepoint_path: Annotated[
        Text,
        Checked(str, {"pattern": f"^{PLACE}$"}),
        LONGEST,
        Field(
            description="The folder of a savepoint or checkpoint, in which _metadata lies, in a bucket of the project.",
            examples=["obs://my-bucket/jobs/checkpoint/138/0123456789abcdef0123456789abcdef/chk-3/"],
        ),
    ]


class SavepointAnswer(Answer):
    """It was accepted, or is done."""

    is_success: Annotated[Literal["true"], Field(description="Text, not a boolean.")]
    message: Annotated[str, Field(description="Of a trigger, the text of a JSON object, as DLI has it.")]


@router.post("/v1.0/{project_id}/streaming/jobs/{job_id}/savepoint", **answers(SavepointAnswer))
def trigger(
    job_id: int,
    body: TriggerSavepoint,
    access: Annotated[Access, needs(JobRight.UPDATE, trace="dealSavepoint")],
    parts: Parts,
) -> dict[str, Any]:
    """Asks for a savepoint of a running job, which goes on; it is ``job_savepointing`` until that is made."""
    target = ""
    if body.savepoint_path:
        folder = _folder(access, body.savepoint_path)
        if parts.objects.exists(folder.bucket, folder.key):
            raise BadField(FIELD, body.savepoint_path, "is an object, not a folder; choose another")
        target = str(folder)
    ask(access, parts, job_id, lambda job: _to_save(parts, job, target))
    message = '{"is_success":"true","message":"api.msg.deal_savepoint_success"}'
    return {"is_success": "true", "message": message}


@router.post("/v1.0/{project_id}/streaming/jobs/{job_id}/import-savepoint", **answers(SavepointAnswer))
def import_savepoint(
    job_id: int,
    body: ImportSavepoint,
    access: Annotated[Access, needs(JobRight.UPDATE, trace="dealSavepoint")],
    parts: Parts,
) -> dict[str, Any]:
    """Makes a savepoint, or a checkpoint, the one that a run with ``resume_savepoint`` restores from."""
    if body.job_id != job_id:
        raise BadField("job_id", body.job_id, f"must be {job_id}, as in the path")
    folder = _folder(access, body.savepoint_path)
    _check_metadata(parts, folder, body.savepoint_path)

    def change(job: Job) -> Job:
        if job.record.phase not in AT_REST or job.request_pending:
            raise WrongState(
                f"The job {job.id} is {status_of(job)}. A savepoint is imported into a job that is not active; stop it "
                "first."
            )
        return parts.jobs.import_savepoint(job, str(folder), now_ms=parts.now_ms(), trace=access.trace)

    overtaken(access, job_id, change)
    return {"is_success": "true", "message": told("The job is updated successfully.")}


def _to_save(parts: Services, job: Job, target: str) -> Desired:
    follows = bool(job.record.failure) and job.record.phase is not Phase.CLEARING
    if follows or Phase.RESTARTING in (job.record.phase, job.record.outcome):
        raise WrongState(
            f"The job {job.id} has failed and is being restarted, so there is nothing to make a savepoint of. Trigger "
            "it when the job is job_running again; or stop the job with trigger_savepoint=true, which keeps its "
            "newest state."
        )
    if job.record.phase is Phase.CLEARING:
        raise WrongState(f"The job {job.id} has just ended by itself.")
    if shown_phase(job) is not Phase.RUNNING:
        raise WrongState(f"The job {job.id} is {status_of(job)}. A savepoint is made of a job that is job_running.")
    if job.request_pending:
        raise WrongState(f"The job {job.id} is about to be stopped. Stop it with trigger_savepoint=true to save it.")
    return replace(next_request(parts, job, Goal.SAVEPOINT), savepoint_target=target)


def _folder(access: Access, text: str) -> ObjectRef:
    """The folder in a bucket of the project; raises BadField, BucketNotFound."""
    bucket, _, key = bare(text).removesuffix("/").partition("/")
    if not key:
        raise BadField(FIELD, text, "must be obs://bucket/folder/ or bucket/folder/")
    return ObjectRef(access.bucket(check_bucket(bucket, FIELD)), check_key(key, FIELD))


def _check_metadata(parts: Services, folder: ObjectRef, text: str) -> None:
    """Refuses a folder that Flink could not restore from."""
    try:
        head = parts.objects.read(folder.bucket, f"{folder.key}/{METADATA}", 0, len(MAGIC))
    except ObjectNotFound as error:
        remedy = f"holds no {METADATA}; name the folder of a savepoint or checkpoint in which it lies"
        raise BadField(FIELD, text, remedy) from error
    if head != MAGIC:
        raise BadField(FIELD, text, f"its {METADATA} is not that of a savepoint or checkpoint of Flink")
