"""The vendor's SDK as client, over a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException  # type: ignore[import-untyped]
from huaweicloudsdkdli.v1 import DliClient, model  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def sdk(url: str) -> Any:
    credentials = BasicCredentials("AK", "secret of AK", PROJECT)
    return DliClient.new_builder().with_credentials(credentials).with_endpoints([url]).build()


@pytest.mark.filterwarnings("ignore:Method .* is deprecated:DeprecationWarning")  # packages are, in the SDK
def test_the_life_of_a_job(sdk: Any, stand: Stand) -> None:
    queue = model.CreateQueueRequestBody(
        queue_name="big", queue_type="general", cu_count=64, tags=[model.Tag("k", "v")]
    )
    assert sdk.create_queue(model.CreateQueueRequest(body=queue)).queue_name == "big"
    shown = sdk.show_queue(model.ShowQueueRequest(queue_name="big"))
    assert (shown.queue_name, shown.queue_type, shown.cu_count) == ("big", "general", 64)
    queues = sdk.list_queues(model.ListQueuesRequest(queue_type="all")).queues
    assert [queue.queue_name for queue in queues] == ["big", "q"]

    upload = model.UploadJobResourcesRequestBody(paths=["obs://b/app.jar"], kind="jar", group="g")
    assert sdk.upload_job_resources(model.UploadJobResourcesRequest(body=upload)).status == "READY"
    found = sdk.show_job_resource(model.ShowJobResourceRequest(resource_name="app.jar", group="g"))
    assert found.resource_name == "app.jar"

    body = model.CreateFlinkJarJobRequestBody(
        name="sdk-job",
        desc="作业 a+b",
        queue_name="big",
        entrypoint="g/app.jar",
        cu_number=3,
        checkpoint_mode=2,
        feature="basic",
        flink_version="1.20",
        tags=[model.Tag("team", "a b")],
        resource_config=model.ResourceConfig(max_slot=2),
    )
    created = sdk.create_flink_jar_job(model.CreateFlinkJarJobRequest(body=body))
    assert (created.is_success, created.job.status_name) == ("true", "job_init")
    job_id = created.job.job_id

    detail = sdk.show_flink_job(model.ShowFlinkJobRequest(job_id=job_id)).job_detail
    assert (detail.job_id, detail.status, detail.desc) == (job_id, "job_init", "作业 a+b")
    assert (detail.job_config.cu_number, detail.job_config.checkpoint_mode) == (3, "at_least_once")

    listed = sdk.list_flink_jobs(model.ListFlinkJobsRequest(name="sdk", tags="team=a b", limit=10, show_detail=True))
    assert listed.job_list.total_count == 1

    update = model.UpdateFlinkJarJobRequestBody(desc="changed")
    assert sdk.update_flink_jar_job(model.UpdateFlinkJarJobRequest(job_id=job_id, body=update)).is_success == "true"

    run = model.BatchRunFlinkJobsRequestBody(job_ids=[job_id], resume_savepoint=False)
    assert sdk.batch_run_flink_jobs(model.BatchRunFlinkJobsRequest(body=run)).body[0].is_success == "true"
    assert stand.nudged == [job_id]
    assert sdk.delete_flink_job(model.DeleteFlinkJobRequest(job_id=job_id)).is_success == "true"
    sdk.delete_queue(model.DeleteQueueRequest(queue_name="q"))


def test_errors_carry_code_message_and_request_id(sdk: Any) -> None:
    with pytest.raises(ClientRequestException) as caught:
        sdk.show_flink_job(model.ShowFlinkJobRequest(job_id=99))
    error = caught.value
    assert (error.status_code, error.error_code, len(error.request_id)) == (400, "DLI.16001", 32)
    assert "99" in error.error_msg

    body = model.CreateFlinkJarJobRequestBody(name="x" * 58)
    with pytest.raises(ClientRequestException) as caught:
        sdk.create_flink_jar_job(model.CreateFlinkJarJobRequest(body=body))
    assert caught.value.error_code == "DLI.0001"
