"""Jobs as files in a bucket: export and import (dli-contract §1.10; the format: docs/export-format.md)."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from headrace.api import imports
from headrace.api.access import Access, needs
from headrace.api.answers import answers, link
from headrace.api.exported import Found, document, read
from headrace.api.fields import JobId, Text, Wire
from headrace.api.language import told
from headrace.api.services import Parts, Services
from headrace.api.transfers_answers import ExportAnswer, ImportAnswer
from headrace.domain import bundle
from headrace.domain.errors import BadBundle, BadField, ObjectNotFound
from headrace.domain.job import Job
from headrace.domain.places import bare
from headrace.domain.rights import JobRight, Standing, job_thing
from headrace.objects.paths import MAX_KEY_BYTES, check_bucket, check_key
from headrace.store.jobs import JobFilter

router = APIRouter()

MAX_FILES = 100
"""Of a folder that is imported."""
ALL = 2**31 - 1

Place = Annotated[Text, Field(min_length=1, max_length=len("obs://") + 64 + MAX_KEY_BYTES + 1)]


class Export(Wire):
    """POST jobs/export."""

    obs_dir: Annotated[
        Place, Field(description="Bucket, or bucket and folder, with or without `obs://`.", examples=["b/exports"])
    ]
    is_selected: Annotated[bool, Field(description="false: all jobs that the caller may export.")]
    job_selected: Annotated[
        list[JobId] | None,
        Field(max_length=bundle.MAX_JOBS, description="The jobs, if is_selected is true; else none."),
    ] = None


class Import(Wire):
    """POST jobs/import."""

    zip_file: Annotated[
        Place,
        Field(
            description="A file of an export, or a folder with nothing but such files: `bucket/path`, with or without "
            "`obs://`.",
            examples=["b/exports/aggregate_1790000000000.zip"],
        ),
    ]
    is_cover: Annotated[
        bool | None, Field(description="Whether jobs of the same names are replaced. Default: false.")
    ] = None


_IMPORT = link("transfers_bring_in", body={"zip_file": "$response.body#/zip_file/0", "is_cover": True})


@router.post("/v1.0/{project_id}/streaming/jobs/export", **answers(ExportAnswer, links={"import": _IMPORT}))
def export(
    body: Export, access: Annotated[Access, needs(JobRight.EXPORT, trace="exportStreamJobs")], parts: Parts
) -> dict[str, Any]:
    """Writes jobs into files; their definitions and tags, not their states."""
    bucket, folder = _place(body.obs_dir, "obs_dir")
    access.bucket(bucket)
    jobs = _chosen(parts, access, body)
    files = bundle.pack((job.id, json.dumps(document(job), ensure_ascii=False).encode()) for job in jobs)
    written: list[str] = []
    try:
        written.extend(_write(parts, bucket, folder, content) for content in files)
    except BaseException:
        for key in written:
            parts.objects.delete(bucket, key)
        raise
    parts.audit.note(*(access.trace.of("job", job.id, job.spec.name) for job in jobs))
    return {
        "is_success": "true",
        "message": told("The job is successfully exported."),
        "zip_file": [f"{bucket}/{key}" for key in written],
    }


@router.post("/v1.0/{project_id}/streaming/jobs/import", **answers(ImportAnswer))
def bring_in(
    body: Import, access: Annotated[Access, needs(Standing.MEMBER, trace="importStreamJobs")], parts: Parts
) -> dict[str, Any]:
    """Makes jobs of files; either all files are sound, and every job in them could be created, or nothing is done."""
    bucket, path = _place(body.zip_file, "zip_file")
    access.bucket(bucket)
    found = _found(parts, bucket, _files(parts, bucket, path, body.zip_file))
    mapping = imports.bring_in(parts, access, found, is_cover=body.is_cover or False)
    return {"is_success": "true", "message": told("The job is successfully imported."), "job_mapping": mapping}


def _place(text: str, field: str) -> tuple[str, str]:
    """(bucket, key of the file or folder; "" = all of the bucket); raises BadField."""
    bucket, slash, key = bare(text).removesuffix("/").partition("/")
    return check_bucket(bucket, field), check_key(key, field) if slash else ""


def _chosen(parts: Services, access: Access, body: Export) -> list[Job]:
    """The jobs to export, oldest first; raises BadField, JobNotFound, NotAuthorised."""
    if body.is_selected:
        if not body.job_selected:
            raise BadField("job_selected", body.job_selected, "must name the jobs when is_selected is true")
        return [access.job(job_id) for job_id in sorted(set(body.job_selected))]
    if body.job_selected:
        raise BadField("job_selected", body.job_selected, "is for is_selected=true; leave it out to export all jobs")
    wanted = JobFilter(
        matches=lambda job: access.may(JobRight.EXPORT, job_thing(job.id, job.user_name)), newest_first=False
    )
    _, jobs = parts.jobs.search(access.project_id, wanted, limit=ALL, offset=0)
    if not jobs:
        raise BadField("is_selected", body.is_selected, "there is no job in the project that you may export")
    return jobs


def _write(parts: Services, bucket: str, folder: str, content: bytes) -> str:
    """Stores a new file, named by the time as DLI does; its key. Nothing is ever replaced."""
    stamp = parts.now_ms()
    while True:
        key = f"{folder}/aggregate_{stamp}.zip".removeprefix("/")
        if parts.objects.put_new(bucket, key, content):
            return key
        stamp += 1


def _files(parts: Services, bucket: str, path: str, given: str) -> list[str]:
    """Keys of the files that a file's or folder's name means, in their order; raises BadField, ObjectNotFound."""
    if path and not given.endswith("/") and parts.objects.exists(bucket, path):
        keys = [path]
    else:
        prefix = f"{path}/" if path else ""
        keys = [info.key for info in islice(parts.objects.listing(bucket, prefix), MAX_FILES + 1)]
        if not keys:
            raise ObjectNotFound(f"zip_file={given[:80]!r}: there is no such file, and no folder with files.")
        if len(keys) > MAX_FILES:
            raise BadField("zip_file", given, f"has more than {MAX_FILES} files; import them one by one")
        for key in keys:
            if "/" in key.removeprefix(prefix):
                raise BadField("zip_file", given, f"{key} lies in a folder of its own; name that folder")
    for key in keys:
        if not key.endswith(".zip"):
            raise BadField("zip_file", given, f"{key} is no .zip file; a folder may have no others")
    return keys


def _found(parts: Services, bucket: str, keys: list[str]) -> list[Found]:
    """All jobs of the files; raises BadBundle for one that is no export, and for more than one file may have."""
    found: list[Found] = []
    size = 0
    for key in keys:
        where = f"{bucket}/{key}"
        content = parts.objects.read(bucket, key, 0, bundle.MAX_BYTES + 1)
        try:
            jobs = bundle.unpack(content)
        except BadBundle as error:
            raise BadBundle(f"{where}: {error}") from error
        size += sum(len(text) for _, text in jobs)
        found += (read(f"{where}, job-{job_id}.json", job_id, text) for job_id, text in jobs)
        if len(found) > bundle.MAX_JOBS or size > bundle.MAX_BYTES:
            raise BadBundle(
                f"{where}: With this one the files have {len(found)} jobs and {size} bytes; at most {bundle.MAX_JOBS} "
                f"jobs and {bundle.MAX_BYTES} bytes are imported at once."
            )
    return found
