"""What a program changes before its imports is observed, and nothing else is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import supervisor
from supervisor.standby import start
from supervisor.worker.imports import observations

ROOT = Path(supervisor.__file__).parents[1]
PYTHON = os.path.join(sys.base_prefix, "bin", "python3")
PACKAGES = {
    "zz_plain": "",
    "zz_other": "import zz_plain",
    "zz_lazy": "import sys, types\n\n\ndef __getattr__(name):\n    import importlib\n"
    "    return importlib.import_module('zz_lazy.' + name)\n\n\n"
    "def run():\n    sys.modules['zz_lazy.made'] = types.ModuleType('made')\n"
    "    import zz_lazy.part",
    "zz_messy": "import builtins, os, sys, types, warnings\nos.environ['ZZ'] = '1'\n"
    "builtins.zz = lambda: 0\nsys.modules['zz_alias'] = types.ModuleType('zz_alias')\n"
    "sys.setrecursionlimit(4321)\nos.cpu_count = lambda: 7",
    "zz_broken": "raise ImportError('no such device')",
}


class Place:
    """A folder with a program, and packages that are installed for this user alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder, folder / "record"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.site = folder / ".local" / "lib" / version / "site-packages"
        for name, text in PACKAGES.items():
            self.install(name, text)
        (self.site / "zz_lazy" / "part.py").write_text("")

    def install(self, name: str, text: str) -> None:
        """Install a package."""
        (self.site / name).mkdir(parents=True)
        (self.site / name / "__init__.py").write_text(text)

    def run(self, text: str, *words: str, **environ: str) -> dict[str, Any]:
        """What is observed of a program that is launched cold, as the launcher does it."""
        (self.folder / "train.py").write_text(text)
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "SUPERVISOR_IMPORTS": str(self.record),
            "SUPERVISOR_ATTEMPT": "1",
            "SUPERVISOR_LAUNCHER": f"{os.getpid()}:1:1",
            **environ,
        }
        argv = [PYTHON, *(words or ("train.py",))]
        done = subprocess.run(
            argv,
            env=start.observed(given),
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )
        self.said = done.stdout
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        # The interpreter that wrote the observations reads them, as a parked one does.
        seen = subprocess.run(
            [PYTHON, "-c", "import sys; from supervisor.worker.imports import observations as o;"
             "import json; print(json.dumps(o.read(sys.argv[1])))", str(self.record)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        import json

        found = json.loads(seen.stdout)
        assert isinstance(found, dict), found
        assert found.get("spoiled") is None, found
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place in a folder of its own."""
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ("import sys\nsys.modules['zz_plain'] = None", "puts zz_plain into sys.modules"),
        ("import sys, types\nsys.modules['apex'] = types.ModuleType('apex')",
         "puts apex into sys.modules"),
        ("import sys, json\nsys.modules['json'] = object()", "replaces json in sys.modules"),
        ("import sys, json\ndel sys.modules['json']", "removes json from sys.modules"),
        ("import multiprocessing\nmultiprocessing.set_start_method('spawn')",
         "changes the start method of multiprocessing"),
        ("import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
         "changes its CPU affinity"),
        ("import os\nos.umask(0o077)", "changes its umask"),
        ("import os\nos.chdir('/')", "changes its working directory"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
         "changes its resource limits"),
        ("import sys\nsys.setrecursionlimit(5000)", "changes its recursion limit"),
        ("import locale\nlocale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "changes its locale"),
        ("import sys\nsys.setprofile(lambda *a: None)", "changes who traces or profiles it"),
        ("import socket\nsocket.setdefaulttimeout(3)", "changes the default timeout of sockets"),
        ("import warnings\nwarnings.simplefilter('error')", "changes which warnings are errors"),
        ("import os\nos.cpu_count = lambda: 1", "changes os.cpu_count"),
        ("import os\ndel os.cpu_count", "changes os.cpu_count"),
        ("import builtins\nbuiltins.open = open.__call__", "changes builtins.open"),
        ("import builtins\nbuiltins.profile = lambda f: f", "changes builtins.profile"),
        ("import json\njson.JSONEncoder.default = lambda *a: 1",
         "changes json.encoder.JSONEncoder.default"),
        ("import random, time\ntime.time = random.random", "changes time.time"),
        ("import sys\nsys.excepthook = lambda *a: None", "changes sys.excepthook"),
        ("import collections, functools\ncollections.Callable = functools.partial(print)",
         "changes collections.Callable"),
        ("import sys\nclass F:\n    @staticmethod\n    def find_spec(*a):\n        return None\n"
         "sys.meta_path.append(F)", "changes how modules are found"),
        ("import own", "changes os.cpu_count"),
        ("import zz_other\nimport os\nos.getcwd = lambda: '/'", "changes os.getcwd"),
        ("import zz_other\nzz_other.made = print", "changes zz_other.made"),
        ("import zz_messy\nimport os\nos.umask(0o077)", "changes its umask"),
        ("exec('import os; os.umask(0o077)')", "changes its umask"),
    ],
)  # fmt: skip
def test_what_an_import_may_see_is_seen(place: Place, before: str, change: str) -> None:
    """Each change before an installed package's import is observed, with the package's name."""
    (place.folder / "own.py").write_text("import os\nos.cpu_count = lambda: 1\n")
    last = "zz_lazy" if "zz_plain" in change else "zz_plain"
    if "zz_other" in before:
        last = "zz_lazy"  # zz_other has imported zz_plain
    assert place.run(f"{before}\nimport {last}")["changes"] == [[change, last]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import os, sys, json, argparse, random, multiprocessing.pool\nimport zz_plain",
        "import zz_messy\nimport zz_plain",
        "try:\n    import zz_broken\nexcept ImportError:\n    pass\nimport zz_plain",
        "try:\n    import nothing_like_it\nexcept ImportError:\n    pass\nimport zz_plain",
        "import warnings\nwarnings.filterwarnings('ignore')\nimport zz_plain",
        "import logging\nlogging.basicConfig(level='INFO')\nimport zz_plain",
        "import functools\nprint = functools.partial(print, flush=True)\nimport zz_plain",
        "import builtins, functools\nbuiltins.print = functools.partial(print, flush=True)\n"
        "import zz_plain",
        "import sys\nsys.path.insert(0, '/nowhere')\nimport zz_plain",
        "import random\nrandom.seed(1)\nimport zz_plain",
        "import tempfile\ntempfile.gettempdir()\nimport zz_plain",
        "import zz_plain\nimport os\nos.umask(0o077)",
        "from concurrent.futures import ThreadPoolExecutor\nimport zz_plain",
        "import importlib.util, os\nimportlib.util.find_spec('zz_plain')\nimport zz_plain",
        "import zz_lazy, os\nos.umask(0o077)\nzz_lazy.run()",
        "import own\nimport zz_plain",
        "import xml.etree.ElementTree, decimal, ctypes, socket, asyncio\nimport zz_plain",
        "import signal\nsignal.signal(signal.SIGTERM, print)\nimport zz_plain",
    ],
)
def test_what_changes_nothing_is_no_change(place: Place, text: str) -> None:
    """Changes by packages, changes after the imports, and mere printing are not observed."""
    (place.folder / "own.py").write_text("import zz_plain, os\nVALUE = os.getcwd()\n")
    found = place.run(text)
    assert (found["changes"], found["environment"]) == ([], {})
    if "zz_plain" in text:
        assert found["packages"]


def test_a_lazy_module_that_the_program_wakes_is_an_import(place: Place) -> None:
    """`from transformers import Trainer` imports most of the library only then."""
    found = place.run("import zz_lazy, os\nos.umask(0o077)\nfrom zz_lazy import part")
    assert found["changes"] == [["changes its umask", "zz_lazy.part"]]


def test_a_stub_matters_to_late_imports_too(place: Place) -> None:
    """A stub counts for late imports, too; a library's own modules (torch.compile's) do not."""
    stub = "import zz_lazy, sys\nsys.modules['zz_plain'] = None\nzz_lazy.run()"
    assert place.run(stub)["changes"] == [["puts zz_plain into sys.modules", "zz_lazy.part"]]


def test_a_program_in_an_installed_package_is_the_program(place: Place) -> None:
    """With `python -m package.train` the main module is the program, though it is installed."""
    site = next(place.folder.glob(".local/lib/*/site-packages"))
    (site / "zz_plain" / "train.py").write_text("import os\nos.umask(0o077)\nimport zz_other\n")
    found = place.run("", "-m", "zz_plain.train")
    assert found["changes"] == [["changes its umask", "zz_other"]]


def test_variables_count_where_they_are_set(place: Place) -> None:
    """A variable set before an early or a late import counts, and its value is not kept."""
    found = place.run(
        "import os\nos.environ['A'] = 'secret'\ndel os.environ['GONE']\nimport zz_messy\n"
        "os.environ['SAME'] = '1'\nos.environ['B'] = '2'\nimport zz_lazy\nos.environ['C'] = '3'\n"
        "zz_lazy.run()\nos.environ['D'] = '4'",
        GONE="1",
        SAME="1",
    )
    assert found["environment"].keys() == {"A", "B", "GONE"}
    assert found["environment"]["GONE"] is None
    assert found["late_environment"].keys() == {"C"}
    assert "secret" not in place.record.with_name("record.observed").read_text()


def test_what_matters_only_if_imports_do_it_too(place: Place) -> None:
    """Logging, signal handlers and the garbage collector are noted beside the changes."""
    found = place.run(
        "import logging, signal, gc\nlogging.basicConfig()\nsignal.signal(signal.SIGINT, print)\n"
        "gc.disable()\nimport zz_plain"
    )
    assert found["changes"] == []
    assert found["besides"] == ["logging", "signal handlers", "the garbage collector"]


def test_nothing_of_it_is_left(place: Place) -> None:
    """No trace stays in the environment, the path, the modules, tracebacks or children."""
    found = place.run(
        "import os, sys, traceback, subprocess\n"
        "print([k for k in os.environ if 'PYTHONPATH' in k],"
        " [p for p in sys.path if 'parked' in p], [m for m in sys.modules if 'supervisor' in m])\n"
        "try:\n    import zz_broken\nexcept ImportError:\n    print(traceback.format_exc())\n"
        "import zz_plain\nprint(type(zz_plain.__spec__).__name__, vars(zz_plain.__spec__))\n"
        "pid = os.fork()\nif pid == 0:\n    os.umask(0o077)\n    import zz_other\n    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "code = 'import sys; print(sys.meta_path)'\n"
        "print(subprocess.check_output([sys.executable, '-c', code]))\n"
    )
    assert place.said.startswith("[] [] []\n")
    assert "parked" not in place.said
    assert "Observer" not in place.said
    assert "ModuleSpec {" in place.said
    assert "_observer" not in place.said
    assert found["changes"] == []


def test_a_first_beat_ends_it(place: Place) -> None:
    """The record ends the observation: later imports are not in it, and the finder is gone."""
    found = place.run(
        f"import sys, os\nsys.path.append({str(ROOT)!r})\nimport zz_plain\n"
        "from supervisor.worker.imports import recorder\n"
        f"recorder.record({str(place.record)!r})\nos.umask(0o077)\nimport zz_other\n"
        "print(sys.meta_path)"
    )
    assert found["changes"] == []
    assert "Observer" not in place.said
    own = json.loads(place.record.read_text())["own"]
    assert [entry[0] for entry in own] == [str(place.folder / "train.py")]


def test_what_ours_imports_is_as_if_the_program_did(place: Place) -> None:
    """With this package installed like others, changes before its import are observed as well."""
    place.install("supervisor", "import zz_plain")
    found = place.run("import os, supervisor\nos.umask(0o077)\nimport zz_other")
    assert found["packages"] == ["zz_plain", "zz_other"]
    assert found["changes"] == [["changes its umask", "zz_other"]]
    found = place.run("import os\nos.umask(0o077)\nimport supervisor")
    assert found["changes"] == [["changes its umask", "zz_plain"]]


def test_a_program_that_takes_it_out_is_told(place: Place) -> None:
    """A program that replaces sys.meta_path is not followed any more, and the record says so."""
    place.run(
        f"import sys\nsys.path.append({str(ROOT)!r})\nsys.meta_path[:] = sys.meta_path[1:]\n"
        f"import zz_plain\nfrom supervisor.worker.imports import recorder\n"
        f"recorder.record({str(place.record)!r})\n"
    )
    assert json.loads(place.record.read_text())["followed"] is False


def test_old_observations_are_no_news(place: Place) -> None:
    """A cold launch removes another attempt's observations, and a child is not followed."""
    place.run("import zz_plain")
    seen = place.record.with_name("record.observed")
    assert seen.exists()
    start.observed({"SUPERVISOR_IMPORTS": str(place.record)})
    assert not seen.exists()
    with pytest.raises(AssertionError, match="not followed"):
        place.run("import zz_plain", SUPERVISOR_LAUNCHER="1:1:1")


def test_any_text_is_written(tmp_path: Path) -> None:
    """Names may hold any text, even text that is no UTF-8."""
    text = 'a"\\\n\x00\x7f\u00e4\udcff\U0001f600'
    observations.Notes(str(tmp_path / "r"), "1").write({"changes": [[text, True, None, -3]]})
    found = observations.read(str(tmp_path / "r"))
    assert isinstance(found, dict)
    assert found["changes"] == [[text, True, None, -3]]
