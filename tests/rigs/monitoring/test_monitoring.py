"""The metrics of real runs in a real Prometheus, read by a real node_exporter."""

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.core.metered_status import GpuStatus
from supervisor.daemon.tell.metrics_text import METRICS, PREFIX, metrics_text
from supervisor.rundir.metrics_path import metrics_path
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from tests.rigs.waiting import wait_until

pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's prometheus"),
]
ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "monitoring"
TRAINER = Path(__file__).parents[1] / "trainer.py"
FAILS = "raise SystemExit(3)"


class Monitored:
    """A Prometheus, the node_exporter that it scrapes, and runs that write their metrics."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.files = folder / "textfile"
        self.files.mkdir()
        self.exporter, self.port = free_port(), free_port()
        self._begin(
            "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
            f"--collector.textfile.directory={self.files}",
            f"--web.listen-address=127.0.0.1:{self.exporter}",
        )  # fmt: skip
        configuration = folder / "prometheus.yaml"
        scraped = {"targets": [f"127.0.0.1:{self.exporter}"]}
        configuration.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(PAGES / "alerts.yaml")],
                    "scrape_configs": [{"job_name": "node", "static_configs": [scraped]}],
                }
            )
        )
        self._begin(
            "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )  # fmt: skip
        wait_until(self.is_ready, 60)

    def _begin(self, *words: str) -> None:
        log = self._stack.enter_context((self.folder / f"{words[0]}.log").open("w"))
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def is_ready(self) -> bool:
        """Whether Prometheus has scraped the exporter."""
        try:
            return bool(self.query("up == 1"))
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers. Raises OSError."""
        return list(self._asked("query?" + urllib.parse.urlencode({"query": expression}))["result"])

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._asked("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def _asked(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{what}") as answer:
            return json.load(answer)["data"]

    def run(self, name: str, command: list[str], **sections: Any) -> subprocess.Popen[bytes]:
        """Start a run that writes its metrics here."""
        path = self.folder / f"{name}.yaml"
        metrics = {"textfile": str(self.files)}
        path.write_text(
            yaml.safe_dump({"name": name, "command": command, "metrics": metrics, **sections})
        )
        log = self._stack.enter_context((self.folder / f"{name}.log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", path, "--plain"],
            cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def text(self, name: str) -> str:
        """The metrics file of a run; empty while there is none."""
        return "".join(path.read_text() for path in self.files.glob(f"*_{name}_*.prom"))


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    """Everything it starts is ended with the test."""
    with ExitStack() as stack:
        yield Monitored(tmp_path, stack)


def checked(*words: str, text: str = "") -> None:
    """Have promtool check something."""
    answer = subprocess.run(["promtool", *words], input=text, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def panels() -> list[tuple[str, str]]:
    """The title of each panel, and each of its queries."""
    board = json.loads((PAGES / "dashboard.json").read_text())
    asked = [(panel["title"], target["expr"]) for panel in board["panels"]
             for target in panel["targets"]]  # fmt: skip
    return [(title, text.replace("$run", ".+").replace("$instance", ".+")) for title, text in asked]


def test_the_rules_are_valid_and_fire_as_they_say() -> None:
    """`promtool` checks the rules, and tries the slow ones on made series."""
    checked("check", "rules", str(PAGES / "alerts.yaml"))
    checked("test", "rules", str(Path(__file__).with_name("alerts_test.yaml")))


def test_each_panel_has_data_from_a_real_run(monitored: Monitored) -> None:
    """A run that failed once and goes on; only the GPUs are made, by the text of the same run."""
    monitored.run(
        "long",
        [sys.executable, str(TRAINER)],
        env={"FAULTS": json.dumps({"1": [40, "raise"]})},
        finish={"step": 100000},
        restart={"backoff": "1s"},
    )
    again = 'failure="exception"} 1'
    wait_until(lambda: again in monitored.text("long"), 120, story=lambda: monitored.text("long"))
    checked("check", "metrics", text=monitored.text("long"))
    status = read_status(RunPaths(monitored.folder / "runs" / "long").status)
    assert status is not None
    gpus = (GpuStatus(0, 0.9, 1 << 30, 1 << 36),)
    made = metrics_text(replace(status, run="made", run_id="made", gpus=gpus))
    checked("check", "metrics", text=made)
    metrics_path(monitored.files, "made", "made").write_text(made)
    left = dict.fromkeys(f"{title}: {query}" for title, query in panels())
    queries = {f"{title}: {query}": query for title, query in panels()}

    def answered() -> bool:
        for name in [name for name in left if monitored.query(queries[name])]:
            del left[name]
        return not left

    wait_until(answered, 60, story=lambda: "\n".join(left))


def test_rules_and_panels_name_metrics_that_there_are() -> None:
    """A metric that was renamed would leave an alert that never fires."""
    known = {PREFIX + metric.name for metric in METRICS}
    asked = (PAGES / "alerts.yaml").read_text() + "".join(query for _, query in panels())
    used = set(re.findall(rf"\b{PREFIX}[a-z_]+", asked)) - {PREFIX}
    assert used <= known
    assert len(used) > 10


def test_a_held_run_and_a_restart_storm_alert(monitored: Monitored) -> None:
    """The held run has ended, and goes on alerting; the other fails again and again."""
    held = monitored.run("held", [sys.executable, "-c", FAILS], restart={"max_failures": 1})
    monitored.run(
        "storm",
        [sys.executable, str(TRAINER)],
        env={"FAULTS": json.dumps({str(n): [n * 20 + 5, "raise"] for n in range(1, 40)})},
        restart={"backoff": "1s", "backoff_max": "1s"},
    )
    assert held.wait(120) == 1
    wait_until(
        lambda: {"TrainingHeld", "TrainingRestartStorm"} <= monitored.firing(),
        150,
        story=lambda: (monitored.folder / "storm.log").read_text(),
    )
    (alert,) = monitored.query('ALERTS{alertname="TrainingHeld",alertstate="firing"}')
    assert alert["metric"]["run"] == "held"
