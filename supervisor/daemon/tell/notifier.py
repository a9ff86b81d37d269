"""Has people told what they want to know of the run; nothing here waits, or hurts the run."""

import time
from pathlib import Path

from supervisor.config.model import RunConfig
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.entries.telling import NotifiedEntry
from supervisor.core.notify_status import NotifyStatus
from supervisor.core.status import Status
from supervisor.core.vocabulary import TERMINAL
from supervisor.daemon.tell.journal import Journal
from supervisor.daemon.tell.pinger import Pinger
from supervisor.notify.delivery import Delivery, label
from supervisor.notify.in_flight import MessagesInFlight
from supervisor.notify.message import message
from supervisor.notify.occasions import Occasion, Occasions
from supervisor.notify.outbox import Outbox
from supervisor.system.clock import monotonic_s, wall_s

# At the end of a supervisor: so long it waits for messages that are being sent.
LAST_WAIT_S = 3.0
_DELIVERIES_MAX = 20


class Noticed:
    """Told of each entry of the run: the occasions of this supervisor, and what was told before."""

    def __init__(self) -> None:
        self.occasions = Occasions()
        self.told: set[str] = set()
        self.sent = 0
        self.failed = 0
        self.last_sent: float | None = None
        """When the last message was recorded, seconds since 1970."""
        self._found: list[Occasion] = []

    def note(self, entry: Entry, wall: float | None = None) -> None:
        """Take in one more entry; without `wall` it is of now."""
        match entry:
            case SupervisorStartedEntry():
                self._found = []  # the supervisor before saw to its own
            case NotifiedEntry():
                self.told |= set(entry.told)
                self.sent += 1 if entry.reached else 0
                self.failed += 0 if entry.reached or entry.handed_over else 1
                self.last_sent = wall_s() if wall is None else wall
        self._found += self.occasions.note(Stamped(entry, wall_s() if wall is None else wall))

    def take(self) -> list[Occasion]:
        """What is new."""
        found, self._found = self._found, []
        return found


class Notifier:
    """The messages of one run."""

    def __init__(self, config: RunConfig, noticed: Noticed, journal: Journal, record: Path) -> None:
        """`record`: the file for what the next daemon has to know of messages on their way."""
        self._targets = config.notify.to
        self._noticed = noticed
        self._journal = journal
        self._in_flight = MessagesInFlight(record, noticed.told, monotonic_s())
        self._outbox = Outbox(
            config.notify.events, config.notify.not_more_than,
            noticed.told, self._in_flight.keys, noticed.last_sent,
        )  # fmt: skip
        self._deliveries: list[Delivery] = []
        self._handed_over = 0
        self._problems: dict[int, str] = {}
        self._pinger = Pinger(config.notify.ping, config.notify.every)

    @property
    def status(self) -> NotifyStatus | None:
        """What `status` shows; None where nobody is to be told."""
        if not self._targets and not self._pinger.is_wanted:
            return None
        problems = [
            f"{label(self._targets, n)}: {why}" for n, why in sorted(self._problems.items())
        ]
        problems += [f"ping: {self._pinger.problem}"] if self._pinger.problem else []
        waiting = len(self._outbox.waiting) + len(self._deliveries) + self._handed_over
        return NotifyStatus(self._noticed.sent, self._noticed.failed, waiting, tuple(problems))

    @property
    def warning(self) -> str | None:
        """What `status` warns of; None while all arrives."""
        status = self.status
        problems = () if status is None else status.problems
        return f"a message does not arrive: {'; '.join(problems)}" if problems else None

    def poll(self, status: Status, *, is_last: bool = False) -> None:
        """Take in what is new, and have sent what is due. Returns at once."""
        now = monotonic_s()
        is_refused = self._noticed.occasions.is_refused
        self._pinger.poll(status, now, is_last=is_last, is_refused=is_refused)
        self._tell(status, now, is_last=is_last)

    def finish(self) -> None:
        """At the run's end: wait a moment for what is on its way, then leave it to its children."""
        until = monotonic_s() + LAST_WAIT_S
        while monotonic_s() < until:
            sending = [one for one in self._deliveries if one.is_sending]
            if not sending and not self._pinger.is_pinging:
                break
            for delivery in sending:
                self._send(delivery, monotonic_s())
            self._pinger.take(monotonic_s())
            time.sleep(0.02)
        for delivery in self._deliveries:
            self._record(delivery, handed_over=delivery.is_sending)
            delivery.hand_over()
        self._handed_over += len(self._deliveries)
        self._deliveries.clear()
        self._pinger.hand_over()

    def tell_late(self, status: Status) -> None:
        """Tell what came up after `finish`, and finish again."""
        self._tell(status, monotonic_s(), is_last=True)
        self.finish()

    def close(self) -> None:
        """At this daemon's end: the next one learns from a file what becomes of messages."""
        for delivery in list(self._deliveries):
            if delivery.is_sending:
                self._send(delivery, monotonic_s())
            delivery.hand_over()
        self._pinger.close()

    def _tell(self, status: Status, now: float, *, is_last: bool) -> None:
        found = self._noticed.take()
        if not self._targets:
            return
        for keys, reached in self._in_flight.settled(now):
            of = len(self._targets)
            self._journal.record(NotifiedEntry(told=keys, reached=reached, of=of))
        for occasion in found:
            self._outbox.put(occasion, began=self._noticed.occasions.first_attempt)
        if taken := self._outbox.due(wall_s(), is_last=is_last):
            left: dict[int, str | None] = dict.fromkeys(range(len(self._targets)))
            one = Delivery(
                message(taken, status), self._targets, left, tuple(one.key for one in taken),
                str(self._in_flight.path), began=now, is_last=is_last or status.state in TERMINAL,
            )  # fmt: skip
            self._in_flight.begin(one.keys)
            self._deliveries.append(one)
        self._drop_oldest()
        for delivery in list(self._deliveries):
            if is_last:
                delivery.hurry()
            self._send(delivery, now)

    def _send(self, delivery: Delivery, now: float) -> None:
        if not delivery.poll(now):
            return
        for number in delivery.reached:
            self._problems.pop(number, None)
        missed = delivery.left | delivery.given_up
        self._problems |= {n: why for n, why in missed.items() if why is not None}
        if delivery.reached or delivery.is_over:
            self._record(delivery)
        if delivery.is_over:
            self._deliveries.remove(delivery)

    def _record(self, delivery: Delivery, *, handed_over: bool = False) -> None:
        """Record once that a message was sent, given up, or left to its child process."""
        if delivery.is_recorded:
            return
        delivery.is_recorded = True
        self._journal.record(
            NotifiedEntry(
                told=delivery.keys, reached=len(delivery.reached), of=len(self._targets),
                handed_over=handed_over,
            )
        )  # fmt: skip

    def _drop_oldest(self) -> None:
        """Of messages that no target takes, keep the newest; the others count as failed."""
        while len(self._deliveries) > _DELIVERIES_MAX:
            oldest = self._deliveries.pop(0)
            self._record(oldest)
            oldest.close()
