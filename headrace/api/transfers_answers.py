"""Bodies of the answers about export and import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headrace.api.answers import Answer

Yes = Annotated[Literal["true"], Field(description="Text, not a boolean.")]
Said = Annotated[str, Field(description="A sentence for people, in the language of X-Language.")]


class ExportAnswer(Answer):
    """The files that were written."""

    is_success: Yes
    message: Said
    zip_file: Annotated[
        list[str],
        Field(
            description="`bucket/path` of each; more than one for more jobs than a file can have.",
            examples=[["b/exports/aggregate_1790000000000.zip"]],
        ),
    ]


class JobMapping(Answer):
    """What became of one job of a file."""

    old_job_id: Annotated[int, Field(description="Its id in the file.", examples=[138])]
    new_job_id: Annotated[int, Field(description="Its id here; -1 = it was left out.", examples=[7])]
    remark: Annotated[str, Field(description="What was done, or why it was left out.")]


class ImportAnswer(Answer):
    """What became of the jobs, by file and place in it."""

    is_success: Yes
    message: Said
    job_mapping: Annotated[list[JobMapping], Field(description="One of each job")]
