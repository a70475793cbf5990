"""Which project a bucket belongs to. Names are unique over all projects, as in OBS."""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import NameTaken
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.schema import buckets


class BucketStore:
    """The only place that writes owners of buckets."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def claim(self, bucket: str, project_id: str, *, now_ms: int, trace: Trace | None = None) -> bool:
        """The bucket becomes the project's; False if it was so already.

        Raises:
            NameTaken: it is another project's.
        """
        if self.owner(bucket) == project_id:
            return False
        try:
            with self._db.write() as connection:
                connection.execute(insert(buckets).values(name=bucket, project_id=project_id, created_ms=now_ms))
                record(connection, trace.of("bucket", bucket, bucket) if trace else None)
        except IntegrityError as error:
            if self.owner(bucket) == project_id:
                return False  # another thread was quicker
            raise NameTaken(f"bucket={bucket!r}: the bucket exists already.") from error
        return True

    def release(self, bucket: str, project_id: str) -> None:
        """The bucket is nobody's again: it was claimed, and could not be made."""
        with self._db.write() as connection:
            mine = (buckets.c.name == bucket) & (buckets.c.project_id == project_id)
            connection.execute(delete(buckets).where(mine))

    def tell(self, trace: Trace | None) -> None:
        """Writes the line of the audit trail of what was done in the object store."""
        with self._db.write() as connection:
            record(connection, trace)

    def owner(self, bucket: str) -> str | None:
        """The id of the bucket's project, None if the bucket is nobody's."""
        with self._db.read() as connection:
            return connection.execute(select(buckets.c.project_id).where(buckets.c.name == bucket)).scalar_one_or_none()

    def of_project(self, project_id: str) -> list[str]:
        """Names of the project's buckets, in their order."""
        query = select(buckets.c.name).where(buckets.c.project_id == project_id).order_by(buckets.c.name)
        with self._db.read() as connection:
            return list(connection.execute(query).scalars())
