"""The clocks of a machine in memory, to be set: for tests of what must not depend on the wall clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeMachine:
    """Time stands still until it is told to pass.

    Attributes:
        wall_ms: the wall clock in epoch milliseconds, which anybody may set.
        boottime_ms: the kernel's clock since boot (CLOCK_BOOTTIME), which nobody can.
        boots: how often the machine was started.
    """

    wall_ms: int = 1_700_000_000_000
    boottime_ms: int = 60_000
    boots: int = 1

    @property
    def boot_id(self) -> str:
        """Tells one boot from the next."""
        return f"boot-{self.boots}"

    @property
    def monotonic_s(self) -> float:
        """As ``time.monotonic`` of a process."""
        return self.boottime_ms / 1000

    def let_pass(self, ms: int) -> None:
        """Time passes, on all clocks."""
        self.wall_ms += ms
        self.boottime_ms += ms

    def set_wall(self, ms: int) -> None:
        """Somebody sets the wall clock forward, or back if ``ms`` is negative."""
        self.wall_ms += ms

    def reboot(self, down_ms: int = 30_000) -> None:
        """The machine is started anew; the wall clock goes on while it is down."""
        self.wall_ms += down_ms
        self.boottime_ms = 1_000
        self.boots += 1
