"""X-Language: the fixed sentences of answers, in English and in Chinese (``zh-cn``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

CHINESE: ContextVar[bool] = ContextVar("headrace_chinese", default=False)
"""Whether the request that is being served asks for Chinese; the Edge sets it."""

SENTENCES: Mapping[str, str] = {
    "A Flink job is created successfully.": "新建flink作业成功。",
    "The Flink job is updated successfully.": "更新flink作业成功。",
    "Jobs are successfully listed.": "查询作业列表成功。",
    "Job detail query succeeds.": "查询作业详情成功。",
    "The job is successfully deleted.": "删除作业成功。",
    "The job is updated successfully.": "更新作业成功。",
    "The request for submitting DLI jobs is successfully delivered.": "提交作业请求下发成功。",
    "The request for stopping DLI jobs is successfully delivered.": "停止作业请求下发成功。",
    "The job execution stream graph is successfully queried.": "查询作业执行计划成功。",
    "Monitoring information is successfully queried.": "查询作业监控信息成功。",
    "The job is successfully exported.": "导出作业成功。",
    "The job is successfully imported.": "导入作业成功。",
    "Job successfully created": "作业创建成功",
    "Job successfully overwritten": "作业覆盖成功",
    "The job name already exists.": "作业名称已存在。",
    "The job of this name is {0}. Stop it, and import again.": "同名作业的状态为{0}，请停止后重新导入。",
    "The following OBS bucket is authorized successfully, {0}.": "以下OBS桶授权成功,{0}。",
    "Restart success": "重启成功",
    "check connectivity to address:{0} with port: {1} successfully": "地址{0}端口{1}的连通性测试请求发送成功",
    "Get node connectivity status successfully for addressId:{0}": "查询地址{0}的连通性测试结果成功",
    "Only the policy of 00:00 to 24:00 has an effect, the others are kept.": "仅00:00至24:00的策略生效，其他仅保存。",
}
"""Every fixed sentence that an answer can hold; a test compares it with the uses of ``told``."""


KINDS: Mapping[str, str] = {
    "DLI.0001": "参数校验错误",
    "DLI.0002": "对象不存在",
    "DLI.0006": "对象已存在",
    "DLI.0007": "不支持该操作",
    "DLI.0009": "系统限制",
    "DLI.0013": "用户认证错误",
    "DLI.0016": "身份和角色不正确",
    "DLI.0019": "任务超时",
    "DLI.0023": "未找到相关资源",
    "DLI.0999": "服务端错误",
    "DLI.1028": "配额不足",
    "DLI.11016": "OBS桶不存在或未授权给DLI",
    "DLI.12002": "资源包或文件不存在",
    "DLI.12004": "对象不存在",
    "DLI.13024": "未选择作业运行的队列",
    "DLI.16001": "作业不存在",
}
"""DLI's code of an error -> what kind of error it is (dli-contract §6.2, §6.3); a test compares it with the table."""


def told(sentence: str, *values: object) -> str:
    """The sentence in the language of the request; ``{0}`` … stand for the values.

    Raises:
        KeyError: the sentence is not in ``SENTENCES``.
    """
    chinese = SENTENCES[sentence]
    return (chinese if CHINESE.get() else sentence).format(*values)
