"""Runs the user's hooks beside the run. Only `before_launch` is waited for, by the core."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from supervisor.config.hook_section import HookName, deadline_s
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.telling import HookFailedEntry
from supervisor.core.events import Event
from supervisor.core.launch_gate import AskLaunchHook, LaunchHookEnded
from supervisor.core.reactions.launch_hook import is_asked
from supervisor.core.states import State
from supervisor.daemon.run import Run
from supervisor.hooks.facts import as_json, as_variables
from supervisor.hooks.hook_child import HookChild, HookOrder, HookResult
from supervisor.hooks.occasions import Fact, HookOccasion, HookOccasions
from supervisor.rundir.ledger_entries import iterate_entries
from supervisor.system import journal_stream, procfs
from supervisor.system.clock import monotonic_s
from supervisor.system.durable import replace_file

_LAUNCH: HookName = "before_launch"


class Hooks:
    """At most one hook of each kind at a time; of those that wait for it, only the newest stays."""

    def __init__(self, run: Run) -> None:
        """Take up what an earlier daemon of this supervisor did not see to its end."""
        self._run = run
        self._given = run.config.hooks.given
        self._occasions = HookOccasions()
        self._running: dict[HookName, tuple[HookOccasion, HookChild]] = {}
        self._waiting: dict[HookName, HookOccasion] = {}
        self._attempt = 0
        # If that directory is removed, hooks run twice; none is lost.
        self._record = run.runtime.root / "hooks.json"
        self._done: dict[str, Any] = {}
        self._failing: dict[str, str] = {}
        self.awaited: str | None = None
        """The sentence on hooks that the supervisor waits for at its end, while it does."""
        if not self._given:
            return
        for noted in iterate_entries(run.paths.ledger):
            self._occasions.note(noted.entry)
        failing: dict[str, str] | None = None
        with suppress(OSError, ValueError):
            self._done = dict(json.loads(self._record.read_bytes()))
            failing = self._done.pop("failing", None)
        for hook, one in self._occasions.last.items():
            if hook in self._given and self._done.get(hook) != one.key:
                self._waiting[hook] = one
        # The ledger has only the first failure of a kind, which may be over.
        self._failing = dict(self._occasions.failures if failing is None else failing)
        self._umask = procfs.umask(os.getppid())
        run.journal.listeners.append(self._note)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What failed the last time that it was run, and what is waited for at the end."""
        return (*self._failing.values(), *filter(None, (self.awaited,)))

    @property
    def unfinished(self) -> tuple[HookName, ...]:
        """The hooks that run, or wait to be run."""
        return tuple(dict.fromkeys((*self._running, *self._waiting)))

    @property
    def in_use(self) -> frozenset[str]:
        """The names of checkpoints that a hook may be copying: they are not pruned meanwhile."""
        under_way = [one for one, _ in self._running.values()]
        paths = [one.facts.get("checkpoint") for one in (*under_way, *self._waiting.values())]
        return frozenset(str(path).rpartition("/")[2] for path in paths if path is not None)

    def _note(self, entry: Entry) -> None:
        before = dict(self._occasions.last)
        self._occasions.note(entry)
        for hook, one in self._occasions.last.items():
            if hook in self._given and before.get(hook) is not one:
                self._waiting[hook] = one

    def ask(self, order: AskLaunchHook, state: State, emit: Callable[[Event], None]) -> None:
        """Run `before_launch` for this attempt; its end becomes an event."""
        self._end(_LAUNCH)
        attempt = self._attempt = order.attempt
        facts: dict[str, Fact] = {
            "attempt": attempt,
            "unmounted": order.unmounted,
            "from_nothing": order.from_nothing,
        }
        one = HookOccasion(_LAUNCH, f"attempt {attempt}", facts)
        refused = self._start(one, state)
        if refused is not None:
            emit(LaunchHookEnded(attempt, f"the hook before_launch {refused}"))

    def poll(self, state: State, emit: Callable[[Event], None]) -> None:
        """Take in what has ended, and start what waits. Returns at once."""
        now = monotonic_s()
        if _LAUNCH in self._running and not is_asked(state):
            self._end(_LAUNCH)
        for hook, (one, child) in list(self._running.items()):
            result = child.poll(now)
            if result is None:
                continue
            del self._running[hook]
            if hook == _LAUNCH:
                emit(LaunchHookEnded(self._attempt, _refusal(result)))
            else:
                self._ended(one, result)
        for hook, one in list(self._waiting.items()):
            if hook not in self._running:
                del self._waiting[hook]
                refused = self._start(one, state)
                if refused is not None:
                    self._ended(one, HookResult(refused))

    def close(self) -> None:
        """End all that runs, with everything that it started."""
        for hook in list(self._running):
            self._end(hook)

    def _end(self, hook: HookName) -> None:
        if hook in self._running:
            self._running.pop(hook)[1].close()

    def _start(self, one: HookOccasion, state: State) -> str | None:
        """Start a hook's process. Returns why there can be none."""
        hook = self._given[one.hook]
        facts = self._facts(one, state)
        notify = self._run.config.notify
        addresses = (*notify.to, *(() if notify.ping is None else (notify.ping,)))
        named = (os.environ.get(name, "") for name in notify.variables)
        order = HookOrder(
            command=hook.command,
            timeout_s=deadline_s(one.hook, hook),
            facts=as_json(facts).decode(),
            variables=as_variables(facts),
            log=str(self._run.paths.hook_logs / f"{one.hook}.log"),
            heading=f"{one.hook}, {one.key}",
            daemon_pid=os.getpid(),
            umask=self._umask,
            secrets=tuple(filter(None, (*addresses, *named))),
        )
        try:
            self._running[one.hook] = one, HookChild(order, monotonic_s())
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        return None

    def _facts(self, one: HookOccasion, state: State) -> Mapping[str, Fact]:
        config, newest = self._run.config, state.newest
        return {
            "event": one.hook,
            "run": config.name,
            "run_id": self._run.run_id,
            "run_dir": str(self._run.paths.run_dir),
            "checkpoint_dir": config.checkpoints.directory or str(self._run.paths.run_dir),
            "newest_checkpoint": None if newest is None else newest.path,
            "newest_step": None if newest is None else newest.step,
            **one.facts,
        }

    def _ended(self, one: HookOccasion, result: HookResult) -> None:
        hook, log = one.hook, self._run.paths.hook_logs / f"{one.hook}.log"
        self._done[hook] = one.key
        problem = _problem(result)
        reason = f"the hook {hook} failed ({problem}); {log} has what it printed"
        self._failing.pop(hook, None)
        if problem is not None:
            self._failing[hook] = reason
        try:
            told = {**self._done, "failing": self._failing}
            replace_file(self._record, json.dumps(told).encode(), sync=False)
        except OSError as error:
            self._run.journal.log.warning("hook_not_noted", hook=hook, error=str(error))
        if problem is None:
            return
        self._run.journal.log.warning("hook_failed", hook=hook, of=one.key, reason=reason)
        if hook in self._occasions.failures:
            return
        self._run.journal.record(HookFailedEntry(hook=hook, reason=reason))
        self._run.console.say(reason, journal_stream.WARNING)


def _problem(result: HookResult) -> str | None:
    """What went wrong with a hook, with the last lines that it printed; None if nothing did."""
    what = result.refused
    if what is None and result.left:
        what = f"SIGKILL does not end what it started: pid {result.left[0]}"
    if what is None:
        return None
    lines = " | ".join(result.lines)
    return f"{what}: {lines}" if lines else what


def _refusal(result: HookResult) -> str | None:
    """Why the hook does not let a launch pass; None if it does."""
    problem = _problem(result)
    return None if problem is None else f"the hook before_launch refuses the launch ({problem})"
