"""Passwords: argon2id, with bounds on how many are hashed at once and on how often one may be wrong."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from headrace.domain.errors import BadField, TooManyAttempts

LEAST, MOST = 8, 128
"""Characters of a password."""
AT_ONCE = 2
"""Hashes at once: each takes 64 MiB and four threads."""
IN_LINE = 16
"""Sign-ins that may wait for their turn; each holds a thread of the server."""
WRONG_ALLOWED = 5
WINDOW_SECONDS = 60.0
_REMEMBERED = 10_000

NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$YLg0x6sQUxsqmM1yLhGiAQ$8t+JJFuSQS7B8KnQ56GWES9cBZsCyBRWYVc8KClPxcQ"
"""Verified against where there is no user, or no password: it takes the same time, and never fits."""


class Passwords:
    """Hashes and verifies. RFC 9106's second profile, which argon2-cffi has as its default."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + IN_LINE)

    def hash(self, password: str) -> str:
        """What is stored of a password."""
        with self.turn():
            return self._hasher.hash(password.encode())

    def verify(self, stored: str, password: str) -> bool:
        """Whether the password is right; called within a ``turn``. ``stored`` "" is never right and takes as long."""
        try:
            right = self._hasher.verify(stored or NOBODYS, password.encode())
        except (VerificationError, InvalidHashError):
            return False
        return right and bool(stored)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until few enough others are hashing.

        Raises:
            TooManyAttempts: too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyAttempts("Too many sign-ins at once. Try again in a second.", 1)
        try:
            with self._turns:
                yield
        finally:
            self._places.release()


class Attempts:
    """Wrong passwords of the last minute, by user name and address: who guesses locks out only themselves."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._lock = threading.Lock()
        self._wrong: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def check(self, name: str, address: str) -> None:
        """Raises TooManyAttempts: wrong too often; nothing is to be hashed."""
        with self._lock:
            recent = self._recent((name, address))
            if len(recent) >= WRONG_ALLOWED:
                wait = int(recent[0] + WINDOW_SECONDS - self._now()) + 1
                raise TooManyAttempts(
                    f"{WRONG_ALLOWED} wrong passwords for this user within a minute. Try again in {wait} seconds.", wait
                )

    def wrong(self, name: str, address: str) -> None:
        """The password was wrong."""
        with self._lock:
            if len(self._wrong) >= _REMEMBERED:
                for who in list(self._wrong):
                    self._recent(who)
                if len(self._wrong) >= _REMEMBERED:  # a flood of names: the oldest are forgotten
                    del self._wrong[next(iter(self._wrong))]
            self._wrong[name, address].append(self._now())

    def right(self, name: str, address: str) -> None:
        """The password was right: the user starts anew."""
        with self._lock:
            self._wrong.pop((name, address), None)

    def _recent(self, who: tuple[str, str]) -> list[float]:
        oldest = self._now() - WINDOW_SECONDS
        recent = [at for at in self._wrong.get(who, ()) if at > oldest]
        if recent:
            self._wrong[who] = recent
        else:
            self._wrong.pop(who, None)
        return recent


def check_length(password: str) -> str:
    """Raises ValueError: it is too short or too long."""
    if not LEAST <= len(password) <= MOST:
        raise ValueError(f"must have {LEAST} to {MOST} characters")
    return password


def check_password(password: str, user_name: str) -> None:
    """Raises BadField, which does not repeat it: it is too short, too long, or the user's name."""
    try:
        check_length(password)
    except ValueError as error:
        raise BadField("password", password, str(error)) from error
    if password.lower() == user_name.lower():
        raise BadField("password", password, "must not be the user's name")
