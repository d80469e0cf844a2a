"""The retry policy: waits between retries and pauses of an endpoint that fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits and bounds that are the same for every endpoint.

    Attributes:
        first_wait_seconds: before the first retry; doubled for each further retry.
        longest_wait_seconds: before any retry, whatever the endpoint's Retry-After says.
        connect_seconds: to open a connection.
        failures: completions that fail in a row before the endpoint is paused.
        first_pause_seconds: of the first pause; doubled for each further retry.
        longest_pause_seconds: of any pause.
        reply_bytes: the longest reply that is read.
    """

    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0
    connect_seconds: float = 5.0
    failures: int = 50
    first_pause_seconds: float = 5.0
    longest_pause_seconds: float = 300.0
    reply_bytes: int = 8 << 20

    def wait_seconds(self, retry: int, retry_after: float | None, jitter: float) -> float:
        """Before retry number `retry` (0, 1, ...): what the endpoint asks for, or doubling; never above the longest.

        Args:
            jitter: from 0 to 1; takes up to a quarter off a wait of our own, so that calls spread out.
        """
        own = self.first_wait_seconds * 2.0 ** min(retry, 30) * (1.0 - 0.25 * jitter)
        return min(own if retry_after is None else retry_after, self.longest_wait_seconds)

    def pause_seconds(self, pauses: int) -> float:
        """Of the next pause, after `pauses` in a row."""
        return float(min(self.first_pause_seconds * 2.0 ** min(pauses, 30), self.longest_pause_seconds))
