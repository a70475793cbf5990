"""All that the API needs of the rest of Headrace; ``headrace.main`` builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from headrace.domain.errors import BucketNotFound
from headrace.domain.job import JobSpec
from headrace.domain.rights import Principal, SignedKey
from headrace.domain.sizing import Shape
from headrace.identity.accounts import Accounts
from headrace.notify.base import Channel
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.base import Objects
from headrace.objects.packages import PackageFiles
from headrace.objects.sources import Source
from headrace.runtimes.base import Runtime
from headrace.settings import Settings
from headrace.store.audit import AuditStore
from headrace.store.buckets import BucketStore
from headrace.store.jobs import JobStore
from headrace.store.notices import NoticeStore
from headrace.store.packages import PackageStore
from headrace.store.pools import PoolStore
from headrace.store.privileges import PrivilegeStore
from headrace.store.queues import QueueStore
from headrace.store.tags import TagStore
from headrace.store.topics import TopicStore
from headrace.store.variables import VariableStore


class Directory(Protocol):
    """Where users, keys and tokens are known."""

    def key(self, access_key: str) -> SignedKey | None:
        """The key; None if there is none, or it may not be used (any more)."""

    def token(self, token: str) -> Principal | None:
        """Whose valid X-Auth-Token this is, None if nobody's; raises Unavailable if that cannot be found out now."""

    def role(self, project_id: str, user_name: str) -> str | None:
        """The user's role in the project: "admin" or "member"; None if it has no such user."""


class Vault(Protocol):
    """Seals secrets with a key that is not in the database."""

    def seal(self, text: str, context: str) -> str:
        """``text``, unreadable without the key and of no use in another context."""

    def open(self, sealed: str, context: str) -> str:
        """The text that was sealed in this context."""


@dataclass(frozen=True)
class JarCheck:
    """What is to be found in a job's JARs before it is accepted.

    Attributes:
        entrypoint: the JAR, wherever it is.
        reference: the JAR as the user named it.
        dependency_jars: further JARs, in which the main class may be too.
        main_class: "" = the one that the JAR's manifest names.
        engine: exact Flink version that will run it.
    """

    entrypoint: Source
    reference: str
    dependency_jars: tuple[Source, ...]
    main_class: str
    engine: str


@dataclass(frozen=True)
class Services:
    """The parts that routes work with.

    Attributes:
        runtime: asked for execution graphs and records only.
        bucket_owner: bucket -> id of the project whose it is, None if it is nobody's.
        channels: protocol of a subscription -> how to deliver by it.
        certificate_name, certificate_pem: of the signature of HTTP messages.
        topic_exists: whether the topic of this project and name can be told something; raises Unavailable.
        wake_courier: something may be to be delivered.
        nudge: the job has a new request; look at it soon.
        resolve_engine: ``flink_version`` ("" = the default) -> the exact version; raises EngineUnknown.
        check_jar: raises BadJar.
        check_flink: raises BadField for Flink options that Headrace itself sets, and for processes too small for Flink.
        memory_capacity_mb: memory that may be promised to all jobs of this machine.
        now_ms: the clock, in epoch milliseconds.
    """

    settings: Settings
    jobs: JobStore
    queues: QueueStore
    packages: PackageStore
    package_files: PackageFiles
    objects: Objects
    artifacts: ArtifactResolver
    runtime: Runtime
    directory: Directory
    privileges: PrivilegeStore
    audit: AuditStore
    buckets: BucketStore
    variables: VariableStore
    pools: PoolStore
    tags: TagStore
    vault: Vault
    topics: TopicStore
    notices: NoticeStore
    channels: Mapping[str, Channel]
    certificate_name: str
    certificate_pem: str
    topic_exists: Callable[[str, str], bool]
    wake_courier: Callable[[], None]
    accounts: Accounts
    bucket_owner: Callable[[str], str | None]
    nudge: Callable[[int], None]
    resolve_engine: Callable[[str], str]
    check_jar: Callable[[JarCheck], None]
    check_flink: Callable[[JobSpec, Shape], None]
    memory_capacity_mb: Callable[[], int]
    now_ms: Callable[[], int]

    def user_exists(self, project_id: str, user_name: str) -> bool:
        """Whether the project has a user of this name."""
        return self.directory.role(project_id, user_name) is not None

    def require_bucket(self, project_id: str, bucket: str) -> None:
        """Raises BucketNotFound unless the bucket exists and is the project's."""
        if self.bucket_owner(bucket) != project_id:
            raise BucketNotFound.of(bucket)
        self.objects.require_bucket(bucket)


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(_services)]
"""The services, for routes."""
