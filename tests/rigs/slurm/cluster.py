"""A real SLURM cluster of a login node and three compute nodes, private to one test session."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.rigs.slurm.machine import Machine
from tests.rigs.waiting import wait_until

NODES = ("n1", "n2", "n3")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KILL_WAIT_S = 10
GRACE_TIME_S = 10

CONFIGURATION = """\
ClusterName=rig
SlurmctldHost=login(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n/spool
SlurmdPidFile={folder}/%n/slurmd.pid
SlurmdLogFile={folder}/%n/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters={controller_parameters}
JobRequeue={job_requeue}
KillWait={kill_wait_s}
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
ReturnToService=2
NodeName=n[1-3] NodeHostname=login NodeAddr=127.0.0.1 Port=[{node_ports}] CPUs=2 RealMemory=8000
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace_time_s}
PartitionName=abrupt Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=steady Nodes=ALL PriorityTier=5 PreemptMode=OFF
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


class Cluster:
    """munged and slurmctld on `login`, one slurmd on each node; runs `scontrol` and the like."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        environment = {
            "PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "SLURM_CONF": str(self.conf),
        }  # fmt: skip
        self.login = Machine(folder / "login", "login", environment)
        self.nodes = {name: Machine(folder / name, name, environment) for name in NODES}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = _free_ports(1 + len(NODES))
        self._settings: dict[str, Any] = {
            "controller_parameters": "preempt_send_user_signal",
            "job_requeue": 1, "kill_wait_s": KILL_WAIT_S, "grace_time_s": GRACE_TIME_S,
        }  # fmt: skip

    @property
    def machines(self) -> list[Machine]:
        """All machines of the cluster."""
        return [self.login, *self.nodes.values()]

    def start(self) -> None:
        """Boot all machines, and wait until every node is idle."""
        (self.folder / "state").mkdir()
        self._write_configuration()
        for machine in self.machines:
            machine.boot()
        self._start_munged()
        self.start_controller()
        for name in NODES:
            (self.folder / name / "spool").mkdir()
            self.start_node(name)
        self.wait_idle()

    def _start_munged(self) -> None:
        # --force: the test's directories are closed to other users, which munged refuses otherwise.
        place = self.folder / "munge"
        place.mkdir()
        self.login.run("mungekey", "--create", "--keyfile", str(place / "key"))
        self._daemons["munged"] = self.login.start(
            "munged", "--foreground", "--force", f"--socket={place}/socket",
            f"--key-file={place}/key", f"--pid-file={place}/pid", f"--seed-file={place}/seed",
            f"--log-file={place}/log", log=place / "console.log",
        )  # fmt: skip
        wait_until((place / "socket").exists, 20, story=lambda: _text(place / "console.log"))

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        # A daemon under -D keeps its standard streams; a stop by SIGTERM saves its state.
        self._daemons["slurmctld"] = self.login.start(
            "slurmctld", "-D", "-f", str(self.conf), log=self.folder / "slurmctld.console"
        )
        wait_until(
            lambda: "UP" in self.scontrol("ping", check=False), 30, story=self.controller_log
        )

    def stop_controller(self) -> None:
        """Stop the controller: it does not answer until it is started again."""
        self.login.run("pkill", "-TERM", "-x", "slurmctld")
        self._daemons.pop("slurmctld").wait(30)

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        node = self.nodes[name]
        if not node.is_up:
            node.boot()
        self._daemons[name] = node.start(
            "slurmd", "-D", "-N", name, "-f", str(self.conf), log=node.folder / "slurmd.console"
        )

    def kill_slurmd(self, name: str) -> None:
        """`kill -9` a node's slurmd; its jobs live on under their slurmstepd."""
        self.nodes[name].run("pkill", "-KILL", "-x", "slurmd")
        self._daemons.pop(name).wait(30)

    def lose_node(self, name: str) -> None:
        """Cut a node's power."""
        self.nodes[name].lose()
        self._daemons.pop(name).wait(30)

    @contextmanager
    def settings(self, **changed: Any) -> Iterator[None]:
        """Change the configuration for a while; the daemons read it again."""
        before = dict(self._settings)
        self._settings.update(changed)
        self._reconfigure()
        try:
            yield
        finally:
            self._settings = before
            self._reconfigure()

    def _reconfigure(self) -> None:
        self._write_configuration()
        self.scontrol("reconfigure")

    def _write_configuration(self) -> None:
        self.conf.write_text(
            CONFIGURATION.format(
                folder=self.folder, controller_port=self._ports[0],
                node_ports=",".join(map(str, self._ports[1:])), **self._settings,
            )
        )  # fmt: skip

    def scontrol(self, *words: str, check: bool = True) -> str:
        """Run `scontrol …`; its output."""
        done = self.login.run("scontrol", *words, check=check)
        return done.stdout + ("" if check else done.stderr)

    def job(self, job: str) -> dict[str, str]:
        """The fields of `scontrol show job`; empty without such a job."""
        text = self.scontrol("-o", "show", "job", job, check=False)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def state(self, job: str) -> str:
        """JobState; empty if it is unknown."""
        return self.job(job).get("JobState", "")

    def cancel_all(self) -> None:
        """Cancel all jobs, and wait until every node is idle again."""
        self.login.run("scancel", "--user=root", check=False)
        self.login.run("scancel", "--user=root", "--signal=KILL", "--full", check=False)
        wait_until(lambda: not self.login.run("squeue", "-h").stdout, 60, story=self.story)
        for name, node in self.nodes.items():
            if not node.is_up or name not in self._daemons:
                self.start_node(name)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until no job runs and all nodes answer."""

        def all_idle() -> bool:
            shown = self.login.run("sinfo", "-h", "-N", "-p", "low", "-o", "%t", check=False)
            words = shown.stdout.split()
            return len(words) == len(NODES) and set(words) == {"idle"}

        wait_until(all_idle, 60, story=self.story)

    def controller_log(self) -> str:
        """The end of slurmctld's log."""
        return _text(self.folder / "slurmctld.console") + _text(self.folder / "slurmctld.log")

    def story(self) -> str:
        """The controller's jobs and nodes, and the end of its log."""
        jobs = self.login.run("squeue", "--long", check=False).stdout
        nodes = self.login.run("sinfo", "-N", "--long", check=False).stdout
        return f"{jobs}\n{nodes}\n{self.controller_log()}"

    def stop(self) -> None:
        """Cut all power; every process on the machines dies with them."""
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for machine in self.machines:
                stack.callback(machine.lose)
        for daemon in self._daemons.values():
            daemon.wait(30)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, so that several clusters can run at once."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _text(path: Path, most: int = 6000) -> str:
    """The end of a file; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace")[-most:]
    except OSError:
        return ""
