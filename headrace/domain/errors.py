"""Every error that a user of Headrace can meet.

::

    HeadraceError
    ├── Refused                    what was asked cannot be done; nothing was changed
    │   ├── BadField               a field of the request is wrong (names field, value and remedy)
    │   ├── MalformedBody          the request's body is not JSON of the expected shape
    │   ├── BodyTooLarge           the request's body is over the limit
    │   ├── BodyTooSlow            the request's body did not come in time
    │   ├── NotSupported           DLI has it, Headrace does not (yet): see docs/compatibility.md
    │   ├── NameTaken              another job, queue or package of the project has this name
    │   ├── WrongState             the job's state does not allow the operation
    │   ├── NoQueueSelected        run: the job names no queue
    │   ├── NeverFits              run: the job is larger than its queue or this machine can ever hold
    │   ├── JobNotFound
    │   ├── QueueNotFound
    │   ├── QueueInUse
    │   ├── PoolNotFound
    │   ├── PoolInUse              the pool has queues, or its jobs hold more CUs than it shall have
    │   ├── TaskNotFound           no connection test of this number
    │   ├── QuotaExceeded          the project may not have so many
    │   │   └── TooManySubscriptions   the same, of a topic
    │   ├── VariableTaken          another global variable of the project has this name
    │   ├── VariableNotFound
    │   ├── TopicUnknown           a job names a topic that the project does not have
    │   ├── TopicNotFound          no such topic, asked for by itself
    │   ├── SubscriptionNotFound   no such subscription, or its link is no longer good
    │   ├── NoticeNotFound         no such delivery of a notice
    │   ├── BadBundle              a file of exported jobs is not one, or is too large
    │   ├── PackageNotFound
    │   │   └── PackageAbsent      the same, of a package that was asked for by itself
    │   ├── PackageInUse           a job names the package that would be dropped
    │   ├── ObjectNotFound         no such object in the bucket
    │   ├── BucketNotFound         no such bucket, or it is not authorised
    │   ├── BadJar                 the JAR is unreadable or lacks what the job needs
    │   ├── IdentityNotFound       no such user, project, role or access key
    │   ├── IdentityConflict       a name of a user or project is taken; the last administrator stays
    │   ├── TooManyAttempts        too many wrong passwords; wait
    │   │   └── AskedTooOften      too many confirmations of subscriptions; wait
    │   ├── NoSavepoint            resume_savepoint was asked and there is none
    │   ├── EngineUnknown          flink_version names no engine that Headrace can install
    │   └── EngineInUse            an engine cannot be removed while processes run on it
    ├── NotAuthenticated           no valid signature
    ├── NotAuthorised              a valid signature, of somebody who may not do this
    ├── RouteNotFound
    └── Unavailable                a part that Headrace needs does not answer now; try again
        ├── StoreSilent            the object storage does not answer, or not in time: whoever waits, waits on
        │   ├── StoreBusy          it was not asked at all, as others wait for it already
        │   └── ObjectReplaced     an object was replaced while it was read
        ├── StoreRefused           the object storage does not take its keys, or Headrace not its certificate
        │   └── BucketForbidden    the keys may not do this in this bucket
        ├── StoreFull              the object storage has no room left
        ├── EngineBroken           an engine could not be installed, or its files have changed
        └── HomeUnusable           the home is of a newer version, or another server holds it

A message is one or two sentences for the person who sent the request: what was wrong, with the value, and what to
do. HTTP numbers and DLI codes are not known here: ``headrace.api.errors`` holds the one table.
"""

from __future__ import annotations


class HeadraceError(Exception):
    """Root of all errors that carry a message for the user."""


class Refused(HeadraceError):
    """What was asked cannot be done; nothing was changed."""


SECRET = frozenset({"password", "original_password", "token", "X-Subject-Token", "X-Auth-Token", "var_value"})
"""Fields whose values no error repeats, nor those of fields in them."""


class BadField(Refused):
    """A field is wrong: ``BadField("resume_max_num", 0, "must be -1 (no limit) or greater than 0")``."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        try:
            shown = repr("********" if value and SECRET.intersection(field.split(".")) else value)
        except RecursionError:
            shown = f"{type(value).__name__} of many levels"
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field}={shown}: {remedy}")
        self.field = field


class MalformedBody(Refused):
    """The request's body is not JSON of the expected shape."""


class BodyTooLarge(Refused):
    """The request's body is over the limit."""


class BodyTooSlow(Refused):
    """The request's body did not come in time; nothing was stored."""


class NotSupported(Refused):
    """DLI has it, Headrace does not: see docs/compatibility.md."""


class NameTaken(Refused):
    """Another job, queue or package of the project has this name."""


class WrongState(Refused):
    """The job's state does not allow the operation."""


class NoQueueSelected(Refused):
    """A job without a queue cannot run."""


class NeverFits(Refused):
    """The job is larger than its queue or this machine can ever hold."""


class JobNotFound(Refused):
    """No such job in this project."""

    @classmethod
    def of(cls, job_id: int | str) -> JobNotFound:
        """The job of this id is missing."""
        return cls(f"The job {job_id} does not exist. Check the job ID.")


class QueueNotFound(Refused):
    """No such queue in this project."""

    @classmethod
    def of(cls, name: str) -> QueueNotFound:
        """The queue of this name is missing."""
        return cls(f"There is no queue named {name}. Create it first, or choose another queue.")


class QueueInUse(Refused):
    """The queue holds jobs and cannot be deleted; ``passing``: all of them are being deleted just now."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class VariableTaken(Refused):
    """Another global variable of the project has this name."""


class VariableNotFound(Refused):
    """No such global variable in this project."""

    @classmethod
    def of(cls, name: str) -> VariableNotFound:
        """The variable of this name is missing."""
        return cls(f"There is no global variable {name[:128]!r}. Create it first, or correct its name.")


class BadBundle(Refused):
    """A file of exported jobs is not one, or is too large."""


class PoolNotFound(Refused):
    """No such elastic resource pool in this project."""

    @classmethod
    def of(cls, name: str) -> PoolNotFound:
        """The pool of this name is missing."""
        return cls(f"There is no elastic resource pool named {name[:128]}. Create it first, or correct its name.")


class PoolInUse(Refused):
    """The pool has queues, or its jobs hold more CUs than it shall have."""


class TaskNotFound(Refused):
    """No connection test of this number on this queue, or one of before the server's last start."""


class QuotaExceeded(Refused):
    """The project may not have so many: the setting ``quotas``."""


class TooManySubscriptions(QuotaExceeded):
    """The topic may not have so many."""


class TopicUnknown(Refused):
    """A job names a topic that its project does not have."""

    @classmethod
    def of(cls, name: str) -> TopicUnknown:
        """The topic of this name is missing."""
        return cls(
            f"smn_topic={name!r}: the topic does not exist, so nobody would be told of a failure. Create it "
            f"(headrace topics create {name}), or clear smn_topic by an update of the job."
        )


class TopicNotFound(Refused):
    """No such topic in this project."""

    @classmethod
    def of(cls, urn: str) -> TopicNotFound:
        """The topic is missing."""
        return cls(f"Topic not found: {urn[:400]}. Create it first, or correct its URN.")


class SubscriptionNotFound(Refused):
    """No such subscription, or the link to it is no longer good."""


class NoticeNotFound(Refused):
    """No such delivery of a notice in this project."""

    @classmethod
    def of(cls, number: int) -> NoticeNotFound:
        """The delivery is missing."""
        return cls(f"There is no notice {number} that is waiting or dead. headrace notices lists all.")


class PackageNotFound(Refused):
    """No such DLI package in this project."""

    @classmethod
    def of(cls, group: str, name: str) -> PackageNotFound:
        """The package of this group ("" = none) and name is missing."""
        shown = f"{group}/{name}" if group else name
        return cls(
            f"invalid resource {shown}, cannot find resource {name}. Upload the package first, or name the file as "
            "obs://bucket/path."
        )


class PackageAbsent(PackageNotFound):
    """The package that was asked for by itself is missing: for Terraform only 404 means that it is gone."""


class PackageInUse(Refused):
    """A job names the package, which would be dropped with the rest of its group."""


class ObjectNotFound(Refused):
    """No such object in the bucket."""


class BucketNotFound(Refused):
    """No such bucket, or it is not authorised: it is another project's."""

    @classmethod
    def of(cls, bucket: str) -> BucketNotFound:
        """The bucket of this name is missing."""
        return cls(
            f"obs_bucket={bucket[:80]!r}: there is no such bucket, or DLI may not use it. "
            "Create it first (headrace objects put --create-bucket), or correct its name."
        )


class BadJar(Refused):
    """The JAR is unreadable or lacks what the job needs."""


class IdentityNotFound(Refused):
    """No such user, project, role or access key."""

    @classmethod
    def of(cls, kind: str, name: str) -> IdentityNotFound:
        """The thing of this kind and id is missing."""
        return cls(f"There is no {kind} {name[:80]!r}. Correct it, or make it first.")


class IdentityConflict(Refused):
    """The name of a user or project is taken, or nobody would be left to administer the server."""


class TooManyAttempts(Refused):
    """Too many wrong passwords, or more sign-ins at once than there is memory for; ``retry_after``: seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AskedTooOften(TooManyAttempts):
    """A receiver, or too many of them, would be asked again to confirm a subscription; nobody is."""


class NoSavepoint(Refused):
    """``resume_savepoint`` was asked and there is none."""


class EngineUnknown(Refused):
    """``flink_version`` names no engine that Headrace can install."""


class EngineInUse(Refused):
    """An engine cannot be removed while processes run on it."""


class NotAuthenticated(HeadraceError):
    """The request carries no valid signature."""


class NotAuthorised(HeadraceError):
    """The signature is valid, but its owner may not do this."""


class RouteNotFound(HeadraceError):
    """No such path or method."""


class Unavailable(HeadraceError):
    """A part that Headrace needs does not answer now; try again."""


class StoreSilent(Unavailable):
    """The object storage does not answer, or not in time: it goes on when it does."""


class StoreBusy(StoreSilent):
    """The object storage was not asked, as others wait for its answer already: nothing was changed there."""


class ObjectReplaced(StoreSilent):
    """An object was replaced while it was read."""


class StoreRefused(Unavailable):
    """The object storage does not take its keys, or its certificate is not trusted: an operator must mend that."""


class BucketForbidden(StoreRefused):
    """The keys may not do this in this bucket."""


class StoreFull(Unavailable):
    """The object storage has no room left."""


class EngineBroken(Unavailable):
    """An engine could not be installed, or its files have changed since."""


class HomeUnusable(Unavailable):
    """The home is of a newer version, or another server holds it."""
