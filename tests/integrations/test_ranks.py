"""Ranks of one node and of several leave a training at one place, or none takes the stop.

Each rank is a process with torch's gloo, and a "node" is a heartbeat directory of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.integrations import resume_agreement, resume_choice, store_agreement
from supervisor.integrations.node_agreement import PLACE_BITS
from supervisor.integrations.ranks import RankMeeting
from supervisor.integrations.resuming import Resumption
from supervisor.integrations.store_agreement import StoreAgreement
from supervisor.integrations.world_store import WorldStore
from supervisor.worker.page_reading import read_page
from tests.upgrade.installation import unpack_before

from .conftest import Installation
from .trainers import trainers_python

pytestmark = pytest.mark.timeout(240)
PATIENCE_S = 120.0
# Several trainings of a rank: steps that wait for all ranks, and evaluations of `EVALUATE` batches.
RANK = """
import atexit, os, signal, sys, time, torch, torch.distributed as dist
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
if os.environ.get("GROUP") != "none":
    dist.init_process_group("gloo")
    atexit.register(dist.destroy_process_group)  # else torch's own threads may abort at the end
if os.environ.get("HANDLER") == str(rank):
    signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
if os.environ.get("BEFORE"):
    sys.path.insert(0, os.environ["BEFORE"])
    from supervisor.worker import attach
    attach()
from _train_supervisor.integrations.training import Training
each, evaluate = float(os.environ.get("EACH", "0.05")), int(os.environ.get("EVALUATE", "0"))
def meet():
    if dist.is_initialized():
        dist.all_reduce(torch.zeros(1))
trainings = int(os.environ.get("TRAININGS", "1"))
for number in range(trainings):
    steps = int(os.environ.get("STEPS", "2000")) if number == trainings - 1 else 25
    t = Training("huggingface", "5", "out", None)
    print("resumes", *t.resume_path(None), flush=True)
    print("supervised", t.is_supervised, flush=True)
    meet()
    print("everyone", t.is_everyone_here(), flush=True)
    if os.environ.get("FEW_RANKS"):
        from _train_supervisor.integrations import lightning_ranks
        lightning_ranks._FEW_RANKS = int(os.environ["FEW_RANKS"])
        states = lightning_ranks.RankStates(t, rank, world)
        print("states", states.of_all(rank), states.of_all(None), flush=True)
    step = 0
    while step < steps:
        step += 1
        time.sleep(each * (1 + rank))
        meet()
        t.beat(step)
        if step % 10 == 0:
            print("at", number, step, flush=True)
        if t.should_stop:
            print("stopped", number, step, flush=True)
            t.stop(None, step)
        for place in range(1, evaluate + 1):
            time.sleep(each)
            meet()
            if t.leaves_inside(place, proposes=t.is_asked):
                print("stopped inside", number, step, place, flush=True)
                t.stop(None, step)
    if os.environ.get("LEAVE_OUT_END") != "1":
        t.end()
print("done", flush=True)
"""


class World:
    """The ranks of one training, on one node or each on a node of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.processes: list[subprocess.Popen[bytes]] = []
        self.script = installation.write("rank.py", RANK)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, ranks: int, *, nodes: bool, of: dict[int, dict[str, str]] | None = None,
              **more: str) -> None:  # fmt: skip
        """Start the ranks; `of`: what one rank's environment has more, None takes a name away."""
        for rank in range(ranks):
            heartbeats = self.installation.folder / (f"node-{rank}" if nodes else "node")
            heartbeats.mkdir(exist_ok=True)
            environment = self.installation.environment(
                RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK="0" if nodes else str(rank),
                LOCAL_WORLD_SIZE="1" if nodes else str(ranks), MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(self.port), OMP_NUM_THREADS="1",
                **{"SUPERVISOR_HEARTBEAT": str(heartbeats), **more, **(of or {}).get(rank, {})},
            )  # fmt: skip
            if not environment["SUPERVISOR_HEARTBEAT"]:
                del environment["SUPERVISOR_HEARTBEAT"]
            with self.output(rank).open("w") as output:
                command = [sys.executable, str(self.script)]
                process = subprocess.Popen(
                    command, env=environment, stdout=output, stderr=subprocess.STDOUT,
                    cwd=self.installation.folder,
                )  # fmt: skip
                self.processes.append(process)

    def output(self, rank: int) -> Path:
        """Where a rank prints."""
        return self.installation.folder / f"output-{rank}"

    def said(self, rank: int, word: str) -> list[str]:
        """What a rank has printed after this word, line by line."""
        lines = self.output(rank).read_text().splitlines()
        return [line[len(word) + 1 :] for line in lines if line.startswith(f"{word} ")]

    def told(self, rank: int, *, nodes: bool) -> list[str]:
        """What a rank's adapter has told the user."""
        folder = self.installation.folder / (f"node-{rank}" if nodes else "node")
        name = f"describe-{0 if nodes else rank}.json"
        return list(json.loads((folder / name).read_text())["told"])

    def wait(self, claim: Callable[[], Any]) -> Any:
        """Wait until a claim is true."""
        until = time.monotonic() + PATIENCE_S
        while not (value := claim()):
            texts = [self.output(rank).read_text() for rank in range(len(self.processes))]
            assert time.monotonic() < until, texts
            time.sleep(0.02)
        return value

    def stop(self, *ranks: int) -> None:
        """Signal ranks, once the first steps are done."""
        self.wait(lambda: self.said(0, "at"))
        for rank in ranks:
            self.processes[rank].send_signal(signal.SIGTERM)

    def codes(self) -> list[int]:
        """The exit codes; none of them is of an abort."""
        until = time.monotonic() + PATIENCE_S
        codes = [one.wait(max(until - time.monotonic(), 0.1)) for one in self.processes]
        texts = [self.output(rank).read_text()[-2000:] for rank in range(len(codes))]
        assert -signal.SIGABRT not in codes, (codes, texts)
        return codes

    def close(self) -> None:
        """Kill what is left."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def world(installation: Installation) -> Iterator[World]:
    """Ranks that have not begun."""
    made = World(installation)
    yield made
    made.close()


@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
@pytest.mark.parametrize("asked", [(1,), (0, 1, 2)], ids=["one rank", "all ranks"])
def test_all_leave_at_one_step(world: World, nodes: bool, asked: tuple[int, ...]) -> None:
    """Whichever rank was asked: the same step for all, and 75."""
    world.start(3, nodes=nodes)
    world.stop(*asked)
    assert world.codes() == [75, 75, 75]
    stops = {tuple(world.said(rank, "stopped")) for rank in range(3)}
    assert len(stops) == 1
    assert {world.said(rank, "everyone")[0] for rank in range(3)} == {"True"}


@pytest.mark.parametrize("each", ["0.0005", "0.7"])
def test_fast_and_slow_steps_on_several_nodes(world: World, each: str) -> None:
    """Thousands of steps pass while the ranks learn of a stop, or not even one."""
    world.start(2, nodes=True, EACH=each, STEPS="1000000")
    world.stop(1)
    assert world.codes() == [75, 75]
    assert world.said(0, "stopped") == world.said(1, "stopped") != []


def test_a_stop_that_meets_the_last_step_on_several_nodes(world: World) -> None:
    """The training ends by itself, which the node that was asked to stop is told."""
    world.start(2, nodes=True, EACH="0.3", STEPS="12")
    world.stop(1)
    assert world.codes() == [0, 0]
    sentence = "the training ended before the ranks agreed on a step to stop at"
    assert sentence in world.told(1, nodes=True)
    assert sentence not in world.told(0, nodes=True)


@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
def test_inside_an_evaluation(world: World, nodes: bool) -> None:
    """A stop in a long evaluation does not wait for its end."""
    world.start(2, nodes=nodes, EVALUATE="100000", STEPS="1")
    world.wait(lambda: world.said(1, "everyone"))
    world.processes[1].send_signal(signal.SIGTERM)
    assert world.codes() == [75, 75]
    assert world.said(0, "stopped inside") == world.said(1, "stopped inside") != []


@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
def test_one_rank_with_a_handler_of_its_own(world: World, nodes: bool) -> None:
    """No rank takes the stop then: the signal ends the other rank, as it does without adapters."""
    world.start(2, nodes=nodes, of={0: {"HANDLER": "0"}})
    world.stop(0, 1)
    assert world.processes[1].wait(PATIENCE_S) == -signal.SIGTERM
    assert world.said(0, "stopped") == world.said(1, "stopped") == []
    assert "mine" in world.output(0).read_text()
    assert world.told(1, nodes=nodes)[-1].startswith("stops are left to the script: ")


@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
@pytest.mark.parametrize("heartbeat", ["", "/nonexistent"], ids=["no supervisor", "no page"])
def test_one_rank_without_a_page(world: World, nodes: bool, heartbeat: str) -> None:
    """No rank takes the stop, and none exchanges anything in a collective."""
    world.start(2, nodes=nodes, of={1: {"SUPERVISOR_HEARTBEAT": heartbeat}})
    world.stop(0)
    assert world.processes[0].wait(PATIENCE_S) == -signal.SIGTERM
    assert world.said(0, "supervised") == ["True"]
    assert world.said(1, "supervised") == [str(bool(heartbeat))]
    everyone = {world.said(0, "everyone")[0], world.said(1, "everyone")[0]} if heartbeat else {
        world.said(0, "everyone")[0]}  # fmt: skip
    assert len(everyone) == 1
    assert world.told(0, nodes=nodes)[-1].startswith("stops are left to the script: ")


@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
def test_one_rank_with_a_worker_of_before(world: World, nodes: bool, tmp_path: Path) -> None:
    """Its steps are told through that worker; a stop is its script's, and so no adapter's."""
    before = unpack_before(tmp_path / "before").parent
    world.start(2, nodes=nodes, of={1: {"BEFORE": str(before)}})
    world.stop(0, 1)
    assert world.processes[0].wait(PATIENCE_S) == -signal.SIGTERM
    world.processes[1].wait(PATIENCE_S)
    assert world.said(1, "supervised") == ["True"]
    assert world.said(1, "stopped") == []
    folder = world.installation.folder
    page = read_page(folder / "node-1" / "rank-0" if nodes else folder / "node" / "rank-1")
    assert page is not None
    assert (page.step or 0) >= 10


def test_several_nodes_without_a_process_group(world: World) -> None:
    """Steps are told, but a stop has the effect that it has without adapters."""
    world.start(2, nodes=True, GROUP="none")
    world.stop(0, 1)
    assert world.codes() == [-signal.SIGTERM] * 2
    assert any("torch.distributed is not initialized" in each for each in world.told(0, nodes=True))


@pytest.mark.parametrize("end", ["", "1"], ids=["ended", "by an exception"])
@pytest.mark.parametrize("nodes", [False, True], ids=["one node", "several"])
def test_the_next_training_of_the_process(world: World, nodes: bool, end: str) -> None:
    """The step at which a training was to stop means nothing for the next one."""
    world.start(2, nodes=nodes, TRAININGS="3", EACH="0.02", LEAVE_OUT_END=end)
    world.wait(lambda: "1 20" in world.said(0, "at"))
    world.processes[1].send_signal(signal.SIGTERM)
    codes = world.codes()
    if codes == [75, 75]:
        assert world.said(0, "stopped") == world.said(1, "stopped")
        assert world.said(0, "stopped")[0].split()[0] in "12"
    else:  # the signal came after the last step of one training and before the next
        assert -signal.SIGTERM in codes


def test_a_stopped_host_of_the_store(world: World) -> None:
    """Looks that never come back hold up no step, and a training ends although a look is stuck."""
    code = f"""
import torch.distributed as dist, time
store = dist.TCPStore("127.0.0.1", {world.port}, None, True, wait_for_workers=False)
print("up", flush=True)
time.sleep(600)
"""
    output = world.output(99)
    with output.open("w") as file:
        host = subprocess.Popen([sys.executable, "-c", code], stdout=file)
    try:
        world.wait(lambda: output.read_text() == "up\n")
        world.start(2, nodes=True, STEPS="150", EACH="0.02", TORCHELASTIC_USE_AGENT_STORE="True")
        world.wait(lambda: world.said(0, "at"))
        os.kill(host.pid, signal.SIGSTOP)
        codes = world.codes()
        assert codes == [0, 0], [world.output(rank).read_text() for rank in range(2)]
    finally:
        host.kill()
        host.wait()


def test_rank_0_says_from_where_all_resume(world: World) -> None:
    """Another node's supervisor has chosen another checkpoint, or none."""
    folder = world.installation.folder
    for name in ("checkpoint-10", "checkpoint-20"):
        (folder / "out" / name).mkdir(parents=True)
    chosen = {
        rank: {"SUPERVISOR_RESUME_FROM": str(folder / "out" / f"checkpoint-{number}")}
        for rank, number in enumerate((10, 20))
    }
    world.start(3, nodes=True, of=chosen, STEPS="3")
    assert world.codes() == [0, 0, 0]
    expected = [f"True {folder}/out/checkpoint-10"]
    assert [world.said(rank, "resumes") for rank in range(3)] == [expected] * 3


def test_a_checkpoint_that_one_rank_does_not_see(world: World) -> None:
    """Then no rank is given it."""
    folder = world.installation.folder
    (folder / "out" / "checkpoint-10").mkdir(parents=True)
    chosen = {"SUPERVISOR_RESUME_FROM": str(folder / "out" / "checkpoint-10")}
    of = {0: chosen, 1: {**chosen, "SUPERVISOR_RESUME_ARGS": "1"}}
    world.start(2, nodes=True, of=of, STEPS="3")
    assert world.codes() == [0, 0]
    assert [world.said(rank, "resumes") for rank in range(2)] == [["False None"]] * 2
    assert any("agree on no checkpoint: rank 1: " in each for each in world.told(0, nodes=True))


@pytest.mark.parametrize(("few", "others"), [("64", "[0, 1, 2] [None, None, None]"), ("2", None)])
def test_random_states_of_all_ranks(world: World, few: str, others: str | None) -> None:
    """Each rank gets all, up to a number of ranks; above it rank 0, which writes the checkpoint."""
    world.start(3, nodes=False, FEW_RANKS=few, STEPS="1")
    assert world.codes() == [0, 0, 0]
    assert world.said(0, "states") == ["[0, 1, 2] [None, None, None]"]
    assert world.said(1, "states") == [others or "[1] [None]"]


def test_no_random_states_where_a_rank_has_no_page(world: World) -> None:
    """All ranks then leave the exchange out: a rank that is alone in it would wait for ever."""
    of = {1: {"SUPERVISOR_HEARTBEAT": "/nonexistent"}}
    world.start(2, nodes=False, of=of, FEW_RANKS="64", STEPS="1")
    assert world.codes() == [0, 0]
    assert [world.said(rank, "states") for rank in (0, 1)] == [["[0] [None]"], ["[1] [None]"]]


def test_ranks_that_never_answer(tmp_path: Path) -> None:
    """The first verdict counts for all, also for a rank that comes after it."""
    import torch.distributed

    store = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    own = Resumption(True, str(tmp_path))

    def agreed(rank: int, name: str, patience_s: float = 0.2) -> Resumption:
        each = WorldStore(store, rank, 2, name)
        return resume_agreement.agree(each, own, lambda path: None, patience_s)

    alone = agreed(1, "rank 0 is late")
    assert (alone.inject, alone.path) == (False, None)
    assert "rank 0 has not answered" in (alone.remark or "")
    assert agreed(0, "rank 0 is late", 30.0).inject is False
    alone = agreed(0, "rank 1 is late")
    assert "not all ranks have answered" in (alone.remark or "")
    assert agreed(1, "rank 1 is late", 30.0).inject is False


class Meeting:
    """Ranks of one process that agree from where to resume, each when it comes."""

    def __init__(self, path: Path, world_size: int) -> None:
        import torch.distributed

        self.store = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
        self.own, self.world_size = Resumption(True, str(path)), world_size
        self.found: dict[int, bool | str] = {}

    def join(self, rank: int, delay_s: float, look_s: float = 0.0) -> threading.Thread:
        """Have a rank come after a delay; it looks at the checkpoint for `look_s`."""

        def why_not(path: str | None) -> None:
            time.sleep(look_s)

        def come() -> None:
            store = WorldStore(self.store.clone(), rank, self.world_size, "resume")
            time.sleep(delay_s)
            try:
                self.found[rank] = resume_agreement.agree(store, self.own, why_not, 2.0).inject
            except SystemExit as error:
                self.found[rank] = str(error)

        thread = threading.Thread(target=come)
        thread.start()
        return thread


@pytest.mark.parametrize(
    ("delays", "look_s", "resume"),
    [((1.0, 0.0, 0.5), 0.0, True), ((1.7, 0.0, 3.0), 0.0, False), ((1.5, 0.0, 1.5), 1.4, False)],
    ids=["in time", "one late", "a slow look"],
)
def test_ranks_at_the_end_of_their_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    delays: tuple[float, ...], look_s: float, resume: bool,
) -> None:  # fmt: skip
    """All resume or none does: a rank that has given up is not counted among those that agree."""
    monkeypatch.setattr(resume_agreement, "_SPARE_S", 0.5)
    meeting = Meeting(tmp_path, 3)
    threads = [
        meeting.join(rank, delay_s, look_s if rank == 1 else 0.0)
        for rank, delay_s in enumerate(delays)
    ]
    for thread in threads:
        thread.join()
    assert meeting.found == dict.fromkeys(range(3), resume)


def test_the_store_fails_after_a_rank_has_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank cannot know whether the others resume, so it does not begin by itself."""
    count = WorldStore.count

    def fail(self: WorldStore, key: str, more: int = 0) -> int:
        number = count(self, key, more)
        if self.rank == 1:
            raise ConnectionError("gone")
        return number

    monkeypatch.setattr(WorldStore, "count", fail)
    meeting = Meeting(tmp_path, 2)
    for thread in [meeting.join(0, 0.0), meeting.join(1, 0.0)]:
        thread.join()
    assert meeting.found[0] is True
    assert "cannot learn whether the other ranks resume" in str(meeting.found[1])


def test_a_rank_without_a_checkpoint_waits_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its verdict counts for all, also for a rank 0 that comes later with a checkpoint."""
    waited = []

    def agree(store: object, own: Resumption, why_not: object, patience_s: float = 300.0,
              ) -> Resumption:  # fmt: skip
        waited.append(patience_s)
        return own

    monkeypatch.setattr(resume_choice, "agree", agree)
    choice = resume_choice.ResumeChoice()
    choice._worker = None
    choice._ranks = RankMeeting(True, None, WorldStore(None, 1, 2, "resume"))
    for own in (Resumption(False), Resumption(True, str(tmp_path))):
        choice._choice_of_all(own, None)
    assert waited == [resume_agreement.PATIENCE_S] * 2


def test_evaluations_before_the_place_that_is_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is too short to leave in it. However many they are, the place stays agreed on."""
    import torch.distributed

    monkeypatch.setattr(store_agreement, "_ACKNOWLEDGED_S", 0.1)
    store = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    ranks = [
        StoreAgreement(WorldStore(store.clone(), rank, 2, "evaluations"), takes=True)
        for rank in range(2)
    ]

    def look(boundary: int, place: int = 0, *, asks: bool = True) -> list[bool]:
        time.sleep(0.005)
        at = boundary << PLACE_BITS | place
        return [rank.look(at, asks=asks, is_inside=place > 0, takes=True) for rank in ranks]

    boundary, until = 0, time.monotonic() + 2.5
    while time.monotonic() < until:  # the place is as many steps ahead as are done in a second
        boundary += 1
        look(boundary, asks=False)
    look(boundary + 1)
    boundary, until = boundary + 1, time.monotonic() + PATIENCE_S
    while not all(rank._agreed for rank in ranks) and time.monotonic() < until:
        time.sleep(0.02)
    for _ in range(store_agreement._MOST_ROUNDS + 2):
        boundary += 1
        assert look(boundary) == [False, False]
        assert look(boundary, 1) == [False, False]
        boundary += 1
        assert look(boundary) == [False, False]
        time.sleep(0.3)  # a round goes by, after the evaluation that began it
    assert [rank.refusal for rank in ranks] == [None, None]
    left = [False, False]
    while left == [False, False]:
        boundary += 1
        left = look(boundary)
    assert left == [True, True]
    assert boundary << PLACE_BITS == ranks[0]._agreed[0] == ranks[1]._agreed[0]
    for rank in ranks:
        rank.close()


@pytest.mark.parametrize("is_joined", [True, False])
def test_whether_everyone_is_here_is_the_same_for_all(
    monkeypatch: pytest.MonkeyPatch, is_joined: bool
) -> None:
    """For a rank that the store answers late, and for one that has joined after the answer."""
    import torch.distributed

    store = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    ranks = [WorldStore(store.clone(), rank, 2, "everyone") for rank in range(2)]
    agreements = [StoreAgreement(rank, takes=True) for rank in ranks]
    monkeypatch.setattr(store_agreement, "_VERDICT_S", 0.2)
    count = WorldStore.count

    def late(self: WorldStore, key: str, more: int = 0) -> int:
        time.sleep(1.0 * self.rank)
        return count(self, key, more)

    monkeypatch.setattr(WorldStore, "count", late)
    ranks[0].count("here", 2 if is_joined else 1)
    found = [agreements[0].is_everyone_here()]
    ranks[0].count("here", 0 if is_joined else 1)
    found.append(agreements[1].is_everyone_here())
    assert found == [is_joined, is_joined]
    for agreement in agreements:
        agreement.close()


CONNECTION = """
import sys, types, torch
from lightning.pytorch.strategies import fsdp, model_parallel
from _train_supervisor.integrations.lightning_ranks import bring_world_up
found = []
for module, name in ((fsdp, "FSDPStrategy"), (model_parallel, "ModelParallelStrategy")):
    for device in ("cpu", "cuda"):
        strategy = getattr(module, name)()
        strategy.accelerator = types.SimpleNamespace(setup_device=lambda device: None)
        strategy.parallel_devices = [torch.device(device, 0)]
        strategy.cluster_environment = types.SimpleNamespace(
            local_rank=lambda: 0, global_rank=lambda: 0, set_global_rank=print,
            set_world_size=print, node_rank=lambda: 0)
        called = []
        class Called(BaseException):
            pass
        def connect(*args, **kwargs):
            called.append((args, kwargs))
            raise Called
        module._init_dist_connection = connect
        trainer = types.SimpleNamespace(world_size=2, num_devices=1, strategy=strategy)
        for begin in (strategy.setup_environment, lambda: bring_world_up(trainer)):
            try:
                begin()
            except Called:
                pass
        assert len(called) == 2 and called[0] == called[1], called
        found.append(str(called[0][1].get("device_id")))
print("same", *found)
"""


@pytest.mark.trainers
def test_a_world_is_begun_as_the_library_does(installation: Installation) -> None:
    """With the same backend, limit of time and device, for each strategy that shards."""
    script = installation.write("connection.py", CONNECTION)
    python, environment = trainers_python("lightning"), installation.environment()
    done = installation.run(str(script), python=python, environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "same None cuda:0 None cuda:0"
