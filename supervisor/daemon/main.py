"""Puts a daemon together: configuration, ledger, launcher, and the state to begin from."""

import argparse
import os
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import supervisor
from supervisor.checkpoint.records import Remembered
from supervisor.config.kept import read_kept
from supervisor.config.model import RunConfig
from supervisor.core.entries.entry import Stamped
from supervisor.core.entries.run import (
    DaemonStartedEntry,
    ReloadedEntry,
    SupervisorEndedEntry,
    SupervisorStartedEntry,
)
from supervisor.core.point_in_time import Moment
from supervisor.core.replay import fold
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.act.clear_before_launch import end_leftovers, tell_end, tidy
from supervisor.daemon.act.directory_claims import claims_of
from supervisor.daemon.act.trainer_environment import policy_of
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.look.described_directories import DescribedDirectories
from supervisor.daemon.look.file_notifications import WakeUps
from supervisor.daemon.look.operator_intent import OperatorIntent
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.progress import ProgressReader
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.daemon.look.user_rules import rules_of
from supervisor.daemon.loop import Daemon
from supervisor.daemon.run import Run
from supervisor.daemon.takeover import beginning, still_asked
from supervisor.daemon.tell.checkpoint_verdicts import remember
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.first_warnings import first_warnings
from supervisor.daemon.tell.journal import Journal
from supervisor.daemon.tell.notifier import Noticed
from supervisor.daemon.tell.recorded_checkpoints import Recorded
from supervisor.daemon.tell.status import StatusFacts
from supervisor.daemon.tell.tally import Tally
from supervisor.diagnosis.kernel_log import KernelLog
from supervisor.diagnosis.user_rules import UserRules
from supervisor.launcher.messages import (
    PROTOCOL,
    CannotStart,
    ExitOrder,
    Hello,
    KnownAttempt,
)
from supervisor.launcher.protocol import Heard, Unfit
from supervisor.rundir.incidents import IncidentFolders
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.ledger_entries import iterate_entries, run_created
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import RuntimeDirectory
from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.identity import boot_id
from supervisor.system.journal_stream import WARNING

HELLO_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Run the daemon; returns its exit code. Unless it ordered exit, another one follows."""
    parser = argparse.ArgumentParser(prog="supervisor-daemon")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--lock-fd", type=int, default=-1)
    parser.add_argument("--view", choices=("live", "none"), default="none")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.lock_fd >= 0:
        os.set_inheritable(options.lock_fd, False)
    link = LauncherLink(options.socket_fd)
    paths = RunPaths(options.run_dir)
    config, unknown = read_kept(paths.config.read_bytes())
    console = Console(sys.stdout.fileno(), enabled=options.view == "none")
    hello, reports = _hello(link)
    if not isinstance(hello, Hello):
        why = "the launcher did not greet the daemon"
        if isinstance(hello, Unfit):
            why = f"the launcher's {hello.what!r} {hello.why}"
        link.send(CannotStart(why=why))
        sys.stderr.write(f"supervisor: {why}\n")
        return ExitCode.INTERNAL
    rules, no_rules = rules_of(config)
    run = _open_run(paths, config, console, rules)
    _tell_protocol(run, hello)
    warnings = first_warnings(run, unknown, no_rules)
    code = _serve(run, link, hello, reports, warnings, options.lock_fd)
    if code >= 0:
        link.send(ExitOrder(code=code))
        link.wait_flushed(5.0)
    return 0


def _hello(link: LauncherLink) -> tuple[Heard | None, list[Heard]]:
    """The launcher's first report, and the reports that came right behind it."""
    deadline = monotonic_s() + HELLO_S
    poller = select.poll()
    poller.register(link.fileno(), select.POLLIN)
    while (left := deadline - monotonic_s()) > 0 and not link.is_lost:
        poller.poll(left * 1000)
        if reports := link.receive():
            return reports[0], reports[1:]
    return None, []


def _tell_protocol(run: Run, hello: Hello) -> None:
    """Warn of a launcher of a later version: reports that are unknown here are passed over."""
    if hello.protocol <= PROTOCOL:
        return
    run.journal.log.warning("unknown_protocol", launcher=hello.protocol, known=PROTOCOL)
    run.console.say(
        f"the launcher speaks version {hello.protocol} of its protocol with the daemon, but this"
        f" installation ({supervisor.__version__}) knows only {PROTOCOL}. Training goes on, and the"
        " daemon ignores what it does not know. Install the launcher's version again, then type"
        f" `supervisor reload {run.paths.run_dir}`",
        WARNING,
    )


def _open_run(paths: RunPaths, config: RunConfig, console: Console, rules: UserRules) -> Run:
    memory: dict[str, Remembered] = {}
    recorded = Recorded()
    tally, noticed = Tally(), Noticed()
    history = fold(_replay(paths, memory, recorded, tally, noticed))
    journal = Journal(LedgerWriter(paths.ledger, paths.reserve), paths.log)
    journal.listeners.append(lambda entry: recorded.note(entry, wall_s()))
    journal.listeners += [tally.note, noticed.note]
    journal.ledger.ensure_reserve()
    run_id = history.run_id
    if run_id is None:
        created = run_created(config.name)
        run_id = str(created.run_id)
        journal.record(created)
    runtime = RuntimeDirectory(run_id, paths.state_dir)
    runtime.claim(paths.state_dir)
    named = DescribedDirectories(paths, history, are_followed=config.configured_directory is None)
    journal.listeners.append(named.note)
    surveyor = Surveyor(
        Path(config.checkpoints.directory or paths.run_dir),
        runtime.root,
        run_id=run_id,
        existing=config.resume.existing,
        memory=memory,
        pattern=config.checkpoints.pattern,
        snapshots=runtime.snapshot_dir,
        recorded=recorded,
        set_aside=paths.set_aside,
        named=named,
    )
    incidents = IncidentFolders(paths.incidents, paths.run_dir)
    owned = claims_of(config, run_id, paths.run_dir, history, named, journal, console)
    return Run(
        paths, config, run_id, history, journal, console, runtime, surveyor, incidents, owned,
        named, ProgressReader(config.watch.progress) if config.watch.progress else None,
        KernelLog(), tally, noticed, rules,
    )  # fmt: skip


def _replay(
    paths: RunPaths,
    memory: dict[str, Remembered],
    recorded: Recorded,
    tally: Tally,
    noticed: Noticed,
) -> Iterator[Stamped]:
    for noted in iterate_entries(paths.ledger):
        remember(memory, noted.entry)
        recorded.note(noted.entry, noted.wall)
        tally.note(noted.entry)
        noticed.note(noted.entry, noted.wall)
        yield noted


def _serve(
    run: Run,
    link: LauncherLink,
    hello: Hello,
    reports: list[Heard],
    warnings: tuple[str, ...],
    lock_fd: int,
) -> int:
    now, wall = monotonic_s(), wall_s()
    history = run.history
    config_path = os.environ.get("SUPERVISOR_CONFIG", str(run.paths.config))
    policy = policy_of(run.config, run.run_id, config_path)
    alive = hello.attempt is not None
    state = initial_state(history, policy, now=now, wall=wall, boot=boot_id(), alive=alive)
    facts = StatusFacts(
        run_id=run.run_id,
        config=run.config,
        config_path=config_path,
        started_wall=wall,
        launcher_pid=hello.launcher_pid,
        daemon_pid=os.getpid(),
        restarts=history.restarts,
        warnings=warnings,
    )
    adopted = hello.attempt
    is_first = not hello.daemon_restarts
    if not is_first and history.supervisor_wall is not None:
        facts.started_wall = history.supervisor_wall
    if is_first:
        run.journal.record(_supervisor_started(run, facts))
    attempt_number = adopted.attempt if adopted else None
    run.journal.record(
        DaemonStartedEntry(pid=os.getpid(), adopted_attempt=attempt_number, boot_id=boot_id())
    )
    wakeups = WakeUps()
    # .supervisor/ is not watched: each status.json renamed into it cost watchdog's threads 0.4 ms,
    # a third of the daemon's CPU time. The poll finds a new intent within half a second.
    wakeups.watch(run.surveyor.directory)
    if adopted is None:
        left = end_leftovers(run)
        if hello.last_exit is None:
            if history.last_attempt_open and not history.end_told:
                tell_end(run, left)
            tidy(run)
    operator = OperatorIntent(run.paths, run.console.say)
    intent, facts.unheard = operator.intent, operator.warning
    begun, state, late = beginning(history, intent, state, hello, Moment(wall, now, boot_id()))
    daemon = Daemon(run, state, link, facts, wakeups, intent=operator, lock_fd=lock_fd)
    running = adopted or hello.last_exit if begun.alive else None
    daemon.parts.standby.take_over(hello.parked)
    if running is not None:
        daemon.parts.attempt = _adopt(run, running.attempt, adopted)
        facts.trainer_pid = adopted.pid if adopted else None
    if adopted:
        daemon.parts.saves.begin(adopted.pid, is_resumed=False)
        began_wall = history.attempt_wall or wall
        # Not fresh: the attempt's first steps may have gone by before this daemon came.
        daemon.parts.steps.begin(
            adopted.attempt,
            history.resumed_from if adopted.attempt == history.attempt else None,
            began_wall,
            is_fresh=False,
        )
    try:
        code = daemon.run_until_exit(
            [begun],
            [*late, *reports],
            still_asked(history, intent, hello, alive=begun.alive, wall=wall),
        )
        if code >= 0:
            run.journal.record(
                SupervisorEndedEntry(state=daemon.state.run, code=code, reason=daemon.state.reason)
            )
            run.surveyor.cancel()
            daemon.parts.prober.cancel()
            daemon.parts.scheduler.leave(daemon.state)
            if daemon.parts.scheduler.own is not None:
                daemon.tell_last()
            run.runtime.remove(but_snapshots=daemon.left_in_memory is not None)
        else:
            run.journal.record(ReloadedEntry())
    finally:
        wakeups.close()
    return code


def _adopt(run: Run, number: int, adopted: KnownAttempt | None) -> RunningAttempt:
    heartbeat_dir = run.runtime.heartbeat_dir(number)
    printed = None
    if number == run.history.attempt and run.history.log_offset is not None:
        offset, inode = run.history.log_offset, run.history.log_inode
        printed = PrintedLog(run.paths.train_log, offset=offset, inode=inode)
    began = (None if adopted is None else adopted.started_monotonic) or monotonic_s()
    were_gone = number == run.history.attempt and run.history.ranks_gone
    attempt = RunningAttempt(
        run, number, heartbeat_dir, began, printed=printed, were_gone=were_gone
    )
    if adopted is not None:
        attempt.started(adopted.as_started())
    return attempt


def _supervisor_started(run: Run, facts: StatusFacts) -> SupervisorStartedEntry:
    return SupervisorStartedEntry(
        pid=facts.launcher_pid,
        host=socket.gethostname(),
        boot_id=boot_id(),
        config_path=facts.config_path,
        command=tuple(run.config.command),
        version=supervisor.__version__,
    )
