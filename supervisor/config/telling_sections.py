"""The sections of a configuration that say who else is told of a run: people, and Prometheus."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from supervisor.config.sections import Section
from supervisor.config.values import Duration

NotifyEvent = Literal[
    "held", "hang", "first_restart", "restarts", "recovered", "finished", "preempted",
    "requeue_failed", "disk", "stuck", "daemon_down",
]  # fmt: skip
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+|env:[A-Za-z_][A-Za-z0-9_]*", re.DOTALL)


class MetricsConfig(Section):
    """Metrics for Prometheus, as a file: nothing listens on a port."""

    textfile: Annotated[str, Field(min_length=1)] | None = None
    """A directory that the textfile collector of a node_exporter reads. The run's metrics are
    written there every ten seconds.

    Each run has a file of its own, which others may read. The directory must exist.
    docs/monitoring/README.md lists the metrics, and has a dashboard and alert rules."""


class NotifyConfig(Section):
    """Messages to people when the run needs them, and pings for a dead man's switch."""

    to: tuple[str, ...] = ()
    """Who is told: addresses of apprise (mail, Slack, Discord, Telegram, Teams, ntfy, webhooks …),
    or `env:NAME` for an address in an environment variable.

    They need the extra `notify` (`pip install 'train-supervisor[notify]'`). `supervisor notify`
    sends a test message. No part of an address is logged or shown. docs/notify.md has examples."""
    events: tuple[NotifyEvent, ...] = (
        "held", "hang", "recovered", "finished", "requeue_failed", "disk",
    )  # fmt: skip
    """What is told: `held`, `hang`, `first_restart`, `restarts`, `recovered`, `finished`,
    `preempted`, `requeue_failed`, `disk`, `stuck`, `daemon_down`.

    `recovered` follows only a failure that was told. Of a run's first five minutes only `held` is
    told."""
    not_more_than: Duration = 600.0
    """At most one message in this time; what happens meanwhile comes in one message. `held` and
    `finished` never wait."""
    ping: str | None = None
    """An address that is asked for as long as the run is as it should be (Healthchecks.io and its
    kind), or `env:NAME`.

    `/fail` is added to it where the run hangs or is held. The last ping comes at the end."""
    every: Duration = 300.0
    """How often `ping` is asked for."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that hold addresses; the trainer does not get them."""
        given = (*self.to, *(() if self.ping is None else (self.ping,)))
        names = (one.removeprefix("env:") for one in given if one.startswith("env:"))
        return tuple(dict.fromkeys(names))

    @field_validator("to", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        """Say what is wrong without the address, which is a secret. Raises ValueError."""
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ValueError("must be a list of addresses, as in [ntfy://my-topic]")
        for number, one in enumerate(value, 1):
            if not isinstance(one, str) or not _ADDRESS.fullmatch(one):
                raise ValueError(
                    f"item {number} is no address: write scheme://… or env:NAME (it is not shown"
                    " here, since it may be a secret)"
                )
        return value

    @field_validator("ping")
    @classmethod
    def _an_url(cls, value: str | None) -> str | None:
        """Say what is wrong without the address. Raises ValueError."""
        if value is not None and not re.fullmatch(r"https?://.+|env:[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("must begin with https:// or http://, or be env:NAME")
        return value

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, seconds: float) -> float:
        """Each ping is a process. Raises ValueError."""
        if seconds < 10:
            raise ValueError("must be 10s at least")
        return seconds
