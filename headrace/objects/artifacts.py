"""From the files that a job names to what they are now."""

from __future__ import annotations

from collections.abc import Callable

from headrace.domain.errors import BucketNotFound
from headrace.objects import sources
from headrace.objects.base import Objects
from headrace.objects.packages import PackageFiles
from headrace.objects.paths import ObjectRef, parse_reference
from headrace.objects.sources import Source


class ArtifactResolver:
    """Finds what ``entrypoint``, ``dependency_jars`` and ``dependency_files`` name."""

    def __init__(
        self,
        objects: Objects,
        packages: PackageFiles,
        package_key: Callable[[str, str, str], str],
        bucket_owner: Callable[[str], str | None],
    ) -> None:
        """Takes the places of files, and who owns what.

        Args:
            package_key: (project id, group, name) -> key of the package's content; raises PackageNotFound.
            bucket_owner: bucket -> id of its project, None if it is nobody's.
        """
        self._objects = objects
        self._bucket_owner = bucket_owner
        self._packages = packages
        self._package_key = package_key

    def locate(self, project_id: str, reference: str, field: str = "entrypoint") -> Source:
        """The file behind a reference, in its present version.

        Raises:
            BadField: not a reference.
            BucketNotFound, ObjectNotFound, PackageNotFound: it names nothing that exists.
            Unavailable: the object storage hinders an answer.
        """
        wanted = parse_reference(reference, field)
        if isinstance(wanted, ObjectRef):
            if self._bucket_owner(wanted.bucket) != project_id:
                raise BucketNotFound.of(wanted.bucket)
            return sources.of_object(self._objects, wanted, reference)
        return self._packages.source(self._package_key(project_id, wanted.group, wanted.name), reference)


def base_name(reference: str) -> str:
    """The name that the file has on the class path, or below ``userData``."""
    return reference.rsplit("/", 1)[-1]
