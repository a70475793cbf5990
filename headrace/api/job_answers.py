"""What the answers about jobs look like (dli-contract §1.1 to §1.9, §1.12)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from headrace.api.answers import Answer, ErrorAnswer, link
from headrace.api.wire import MAX_STATUS_DESC, STATUS_WORDS
from headrace.domain.job import Phase
from headrace.store.journal import Kind

Id = Annotated[int, Field(ge=1, description="The job", examples=[1])]
AtMs = Annotated[int, Field(ge=0, description="Epoch milliseconds", examples=[1790000000000])]
Status = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATUS_WORDS)})]
Count = Annotated[int, Field(ge=0)]
Nothing = Annotated[None, Field(description="Always null: not of JAR jobs")]
StatusDesc = Annotated[
    str,
    Field(
        max_length=MAX_STATUS_DESC,
        description="Cause and remedy of a trouble, how often the job was restarted and when it is again, or what it "
        "waits for",
    ),
]
Said = Annotated[str, Field(description="A sentence for people, in the language of X-Language")]
Attempt = Annotated[int, Field(ge=0, description="Number of the deployment; 0 before the first")]
OwnPhase = Annotated[Phase, Field(description="Headrace's own word (docs/architecture.md)")]
YesText = Annotated[Literal["true"], Field(description="The text true, as DLI's clients read it here")]


_OF_NEW_JOB = {"job_id": "$response.body#/job/job_id"}
_THE_JOBS = {"job_ids": ["$response.body#/job/job_id"]}
_ITS_TAGS = {"resource_type": "dli_flink_job", "resource_id": "$response.body#/job/job_id"}
AFTER_CREATE = {
    "show": link("jobs_show", _OF_NEW_JOB),
    "update": link("jobs_update", _OF_NEW_JOB),
    "delete": link("jobs_delete", _OF_NEW_JOB),
    "history": link("jobs_history", _OF_NEW_JOB),
    "events": link("jobs_events", _OF_NEW_JOB),
    "logs": link("logs_logs", _OF_NEW_JOB),
    "execute-graph": link("graphs_execute_graph", _OF_NEW_JOB),
    "savepoint": link("savepoints_trigger", _OF_NEW_JOB),
    "import-savepoint": link("savepoints_import_savepoint", _OF_NEW_JOB),
    "audit": link("audit_job_trail", _OF_NEW_JOB),
    "run": link("batches_run", body={**_THE_JOBS, "resume_savepoint": False}),
    "stop": link("batches_stop", body={**_THE_JOBS, "trigger_savepoint": False}),
    "delete-batch": link("batches_delete", body=_THE_JOBS),
    "export": link(
        "transfers_export",
        body={
            "obs_dir": "$request.body#/obs_bucket",
            "is_selected": True,
            "job_selected": ["$response.body#/job/job_id"],
        },
    ),
    "metrics": link("graphs_metrics", body=_THE_JOBS),
    "tag": link("tags_create", _ITS_TAGS, body={"tags": [{"key": "team", "value": "payments"}]}),
    "untag": link("tags_delete", _ITS_TAGS, body={"tags": [{"key": "team"}]}),
    "tags": link("tags_show", _ITS_TAGS),
}
"""What can be done with a new job."""


class Told(Answer):
    """Done."""

    is_success: YesText
    message: Said


class Created(Answer):
    """The new job."""

    job_id: Id
    status_name: Annotated[Literal["job_init"], Field(description="A draft: nothing runs")]
    status_desc: Annotated[str, Field(description="Cause and remedy of a trouble; empty")]


class CreateAnswer(Told):
    """The job is stored."""

    job: Annotated[Created, Field(description="The new job")]


class Updated(Answer):
    """When the job was changed."""

    update_time: AtMs


class UpdateAnswer(Told):
    """The job is changed."""

    job: Annotated[Updated, Field(description="When")]


class DoneElement(Told):
    """An element of a batch that was done."""


class RefusedElement(ErrorAnswer):
    """An element of a batch that was refused, while others were done."""

    is_success: Annotated[Literal["false"], Field(description="The text false")]
    message: Annotated[str, Field(description="As error_msg")]


BatchAnswer = list[DoneElement | RefusedElement]
BatchRefused = list[ErrorAnswer]


class Process(Answer):
    """CPU and memory of one kind of process."""

    cpu: Annotated[float, Field(ge=0.5, description="vCPUs of one process", examples=[1.0])]
    memory: Annotated[str, Field(pattern="^[0-9]+[GM]$", description="Memory of one process", examples=["4G"])]


class Resources(Answer):
    """``resource_config``."""

    max_slot: Annotated[int, Field(ge=1, description="Slots of one TaskManager")]
    parallel_number: Annotated[int, Field(ge=1, description="Default parallelism")]
    jobmanager_resource_spec: Annotated[Process, Field(description="The JobManager's share")]
    taskmanager_resource_spec: Annotated[Process, Field(description="The share of each TaskManager")]


class JobConfig(Answer):
    """``job_config``: the definition, and what is constant in DLI too."""

    checkpoint_enabled: Annotated[bool, Field(description="Whether Headrace makes Flink checkpoint")]
    checkpoint_interval: Annotated[int, Field(ge=1, description="Seconds between checkpoints")]
    checkpoint_mode: Annotated[Literal["exactly_once", "at_least_once"], Field(description="1 and 2 of the requests")]
    log_enabled: Annotated[bool, Field(description="Whether logs are kept in the bucket")]
    obs_bucket: Annotated[str | None, Field(description="For checkpoints, savepoints and logs; null = none")]
    root_id: Annotated[Literal[-1], Field(description="Constant")]
    edge_group_ids: Nothing
    manager_cu_number: Annotated[int, Field(ge=1, description="CUs of the JobManager")]
    graph_editor_enabled: Annotated[Literal[False], Field(description="Constant")]
    graph_editor_data: Annotated[Literal[""], Field(description="Constant")]
    executor_number: Nothing
    executor_cu_number: Nothing
    cu_number: Annotated[int, Field(ge=2, description="CUs of all processes together, as it was asked")]
    parallel_number: Annotated[int, Field(ge=1, description="Default parallelism")]
    smn_topic: Annotated[str | None, Field(description="Name of the topic that hears of failures; null = none")]
    restart_when_exception: Annotated[bool, Field(description="Whether a job that fails is started anew")]
    resume_checkpoint: Annotated[bool, Field(description="Whether it then goes on from its newest checkpoint")]
    resume_max_num: Annotated[int, Field(ge=-1, description="How often an hour; -1 = no limit")]
    checkpoint_path: Annotated[str, Field(description="Where checkpoints are; empty = nowhere yet")]
    idle_state_retention: Annotated[Literal[3600], Field(description="Of SQL jobs; constant")]
    config_url: Nothing
    udf_jar_url: Nothing
    dirty_data_strategy: Nothing
    entrypoint: Annotated[str, Field(description="The JAR", examples=["obs://b/app.jar"])]
    dependency_jars: Annotated[list[str], Field(description="More JARs of the class path")]
    dependency_files: Annotated[list[str], Field(description="Files below userData/ of the class path")]
    tm_cus: Annotated[int, Field(ge=1, description="CUs of one TaskManager")]
    tm_slot_num: Annotated[int, Field(ge=0, description="Slots of one TaskManager; 0 = by parallelism")]
    execution_agency_urn: Annotated[str, Field(description="As it was sent")]
    operator_config: Annotated[Literal[""], Field(description="Of SQL jobs; constant")]
    static_estimator_config: Annotated[Literal[""], Field(description="Of SQL jobs; constant")]
    runtime_config: Annotated[
        str, Field(description="Flink options as a JSON array of key and value, however they were sent")
    ]
    real_cu_number: Annotated[int, Field(ge=0, description="CUs that the job is charged; 0 = cu_number")]
    resource_config_version: Annotated[Literal["v1", "v2"], Field(description="What sizes the job")]
    resource_config: Annotated[Resources, Field(description="Sizes of a v2 job")]
    image: Annotated[str, Field(description="Empty: custom images need containers")]
    feature: Annotated[Literal["basic", "custom"], Field(description="basic")]
    flink_version: Annotated[str, Field(description="As it was sent; empty = the operator's default")]
    flink_log_config: Annotated[str, Field(description="Levels of loggers, JSON text as it was sent")]


class CommonFields(Answer):
    """What every view of a job has."""

    job_id: Id
    name: Annotated[str, Field(description="Unique in the project", examples=["job"])]
    desc: Annotated[str, Field(description="For people")]
    job_type: Annotated[Literal["flink_jar_job"], Field(description="There are no others here")]
    status: Annotated[Status, Field(description="Where the job stands (dli-contract §3)")]
    status_desc: StatusDesc
    create_time: AtMs
    graph_editor_enabled: Annotated[Literal[False], Field(description="Constant")]
    has_savepoint: Annotated[bool, Field(description="Whether the job has a savepoint")]
    queue_name: Annotated[str, Field(description="In lower case; empty = none yet")]
    edge_group_ids: Nothing
    restart_times: Annotated[
        int, Field(ge=0, description="Restarts of the latest run: Flink's in place and new deployments together")
    ]
    savepoint_path: Annotated[
        str, Field(description="What resume_savepoint goes on from: the newest savepoint; empty = none")
    ]


class OwnerFields(Answer):
    """What a list shows without show_detail."""

    user_name: Annotated[str, Field(description="The creator")]
    username: Annotated[str, Field(description="As user_name, for Go's clients")]
    duration: Annotated[int, Field(ge=0, description="Milliseconds of the latest run, until its end or now")]
    root_id: Annotated[Literal[-1], Field(description="Constant")]


class DetailFields(Answer):
    """What the details have besides."""

    user_id: Annotated[str, Field(description="The creator's id")]
    project_id: Annotated[str, Field(description="The project")]
    sql_body: Annotated[Literal[""], Field(description="Of SQL jobs; constant")]
    run_mode: Annotated[Literal["exclusive_cluster"], Field(description="Each job has processes of its own")]
    job_config: Annotated[JobConfig, Field(description="The definition")]
    main_class: Annotated[str, Field(description="Empty = that of the JAR's manifest")]
    entrypoint_args: Annotated[str, Field(description="Arguments of main()")]
    execution_graph: Annotated[None, Field(description="Constant; see …/execute-graph")]
    update_time: AtMs


class ListedJob(CommonFields, OwnerFields):
    """An element of the list."""

    start_time: Annotated[int, Field(ge=0, description="Of the latest run, epoch milliseconds; 0 = never")]


class ListedDetail(CommonFields, DetailFields):
    """An element of the list with show_detail=true."""

    start_time: Annotated[int, Field(ge=0, description="Of the latest run, epoch milliseconds; 0 = never")]


class JobDetail(CommonFields, OwnerFields, DetailFields):
    """All of one job."""

    start_time: Annotated[int | None, Field(description="Of the latest run, epoch milliseconds; null = never")]


class JobList(Answer):
    """One page."""

    total_count: Annotated[int, Field(ge=0, description="Number of all matches, whatever the page")]
    jobs: Annotated[list[ListedJob | ListedDetail], Field(description="The page")]


class ListAnswer(Told):
    """Jobs that the caller may see."""

    job_list: Annotated[JobList, Field(description="One page of the matches")]


class DetailAnswer(Told):
    """All of one job."""

    job_detail: Annotated[JobDetail, Field(description="The job")]


class GraphAnswer(Told):
    """Flink's own document of a job."""

    execute_graph: Annotated[dict[str, Any], Field(description="As Flink's REST API gives it under /jobs/:id")]


class Operator(Answer):
    """Counted records of one source or sink."""

    name: Annotated[str, Field(description="The operator's name")]
    records: Annotated[Count | None, Field(description="Records so far; null = not known")]
    corrupted_records: Annotated[None, Field(description="Flink counts none")]


class JobMetrics(Answer):
    """Counted records of one job."""

    sources: Annotated[list[Operator], Field(description="Operators that read from outside")]
    sinks: Annotated[list[Operator], Field(description="Operators that write to outside")]
    total_read_rate: Annotated[float | None, Field(description="Records a second; null = not known")]
    total_write_rate: Annotated[float | None, Field(description="Records a second; null = not known")]


class MetricsOfJob(Answer):
    """One of the jobs that were asked for."""

    job_id: Id
    metrics: Annotated[JobMetrics, Field(description="Counted records")]


class MetricsList(Answer):
    """Of each job that was asked for."""

    jobs: Annotated[list[MetricsOfJob], Field(description="In the order of the request")]


class MetricsAnswer(Answer):
    """Counted records."""

    is_success: Annotated[Literal[True], Field(description="A boolean here, as DLI's clients read it")]
    message: Said
    metrics: Annotated[MetricsList, Field(description="Of each job")]


class JobMove(Answer):
    """One recorded change of a job's phase."""

    at_ms: AtMs
    attempt: Attempt
    phase: OwnPhase
    status: Annotated[Status, Field(description="DLI's word")]
    status_desc: Annotated[str, Field(description="As note of the events")]


class HistoryAnswer(Answer):
    """How a job came to where it is."""

    job_id: Id
    moves: Annotated[list[JobMove], Field(description="Oldest first")]


class JobLog(Answer):
    """One log of one process."""

    attempt: Attempt
    role: Annotated[str, Field(description="Process", examples=["taskmanager-1"])]
    name: Annotated[str, Field(description="What it is", examples=["taskmanager.log"])]
    size: Annotated[int, Field(ge=0, description="Bytes that there ever were")]
    gone: Annotated[int, Field(ge=0, description="So many of them, the oldest, are no longer on this machine")]


class LogsAnswer(Answer):
    """The logs on this machine."""

    job_id: Id
    logs: Annotated[list[JobLog], Field(description="By attempt, then by process")]


class LogAnswer(Answer):
    """A part of one log."""

    job_id: Id
    offset: Annotated[
        int, Field(ge=0, description="Of the text's first byte; beyond the one asked for if bytes are gone")
    ]
    next_offset: Annotated[int, Field(ge=0, description="Where it goes on")]
    text: Annotated[str, Field(description="UTF-8; what is none of that is replaced")]
    over: Annotated[bool, Field(description="Nothing follows any more")]


class JobEvent(Answer):
    """One line of a job's journal."""

    id: Annotated[int, Field(ge=1, description="Grows from line to line; for after", examples=[17])]
    at_ms: AtMs
    kind: Annotated[
        Kind,
        Field(
            description="moved: the job went into this phase; restarted: Flink restarted it in place; replaced: a "
            "TaskManager ended and is replaced; waiting: why it waits has changed; asked: somebody asked for something;"
            " logs: logs could not be kept"
        ),
    ]
    attempt: Attempt
    phase: OwnPhase
    status: Annotated[Status, Field(description="DLI's word")]
    note: Annotated[str, Field(description="What happened and why, what it is restored from, what to do; may be empty")]


class EventsAnswer(Answer):
    """A part of a job's journal; its newest 2000 lines are kept."""

    job_id: Id
    events: Annotated[list[JobEvent], Field(description="Oldest first; none follow if it is empty")]
