"""Passwords are slow to guess, whoever asks and however many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher, extract_parameters

from headrace.domain.errors import BadField, TooManyAttempts
from headrace.identity import passwords
from headrace.identity.passwords import Attempts, Passwords, check_password


def test_a_password_is_verified() -> None:
    hasher = Passwords()
    stored = hasher.hash("correct horse 电池")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert hasher.verify(stored, "correct horse 电池")
    assert not hasher.verify(stored, "correct horse")
    assert stored != hasher.hash("correct horse 电池")


@pytest.mark.parametrize("stored", ["", passwords.NOBODYS, "no hash", "$argon2id$broken"])
def test_nothing_opens_what_has_no_password(stored: str) -> None:
    assert not any(Passwords().verify(stored, guess) for guess in ("", stored))


def test_nobodys_hash_costs_the_same() -> None:
    assert extract_parameters(passwords.NOBODYS) == extract_parameters(PasswordHasher().hash("x"))


def test_few_are_hashed_at_once_and_a_crowd_is_sent_away() -> None:
    hasher = Passwords()
    inside, most = 0, 0
    lock, go, full = threading.Lock(), threading.Event(), threading.Semaphore(0)
    refused: list[int] = []

    def sign_in() -> None:
        nonlocal inside, most
        try:
            with hasher.turn():
                with lock:
                    inside += 1
                    most = max(most, inside)
                full.release()
                go.wait()
                with lock:
                    inside -= 1
        except TooManyAttempts as error:
            with lock:
                refused.append(error.retry_after)
            full.release()

    crowd = passwords.AT_ONCE + passwords.IN_LINE + 5
    threads = [threading.Thread(target=sign_in) for _ in range(crowd)]
    for thread in threads:
        thread.start()
    for _ in range(passwords.AT_ONCE + 5):  # those inside, and those sent away
        assert full.acquire(timeout=10)
    go.set()
    for thread in threads:
        thread.join()
    assert most == passwords.AT_ONCE
    assert refused == [1] * 5
    with hasher.turn():
        pass


class Watch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def blocked(check: Callable[[], None]) -> int:
    """Seconds until it is worth trying again; 0 = now."""
    try:
        check()
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def test_five_wrong_ones_within_a_minute() -> None:
    watch = Watch()
    attempts = Attempts(watch)
    for _ in range(5):
        assert not blocked(lambda: attempts.check("bob", "10.0.0.1"))
        attempts.wrong("bob", "10.0.0.1")
        watch.now += 10
    assert blocked(lambda: attempts.check("bob", "10.0.0.1")) == 11
    assert not blocked(lambda: attempts.check("bob", "10.0.0.2")), "who guesses locks out only themselves"
    assert not blocked(lambda: attempts.check("eve", "10.0.0.1"))
    watch.now += 10.1
    assert not blocked(lambda: attempts.check("bob", "10.0.0.1"))
    attempts.wrong("bob", "10.0.0.1")
    assert blocked(lambda: attempts.check("bob", "10.0.0.1")) == 10


def test_a_right_one_starts_anew() -> None:
    attempts = Attempts(Watch())
    for _ in range(3):
        for _ in range(4):
            attempts.wrong("bob", "a")
        attempts.right("bob", "a")
        attempts.check("bob", "a")


def test_a_flood_of_names_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_REMEMBERED", 50)
    attempts = Attempts(Watch())
    for number in range(500):
        attempts.wrong(f"user{number}", "a")
    assert len(attempts._wrong) == 50


@pytest.mark.parametrize("password", ["", "short67", "x" * 129, "Somebody"])
def test_passwords_that_are_refused_are_not_told(password: str) -> None:
    with pytest.raises(BadField) as refused:
        check_password(password, "somebody")
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("password", ["8 chars.", "x" * 128, "密码密码密码密码"])
def test_passwords_that_are_accepted(password: str) -> None:
    check_password(password, "somebody")
