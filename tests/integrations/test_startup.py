"""The hook at the start of an interpreter: it is there, and nothing else is any different."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Installation, pythons, version_of

OLDEST = (3, 9)
# What a program sees of its interpreter.
SEEN = """
import json, sys
print(json.dumps([sys.path, sorted(sys.modules), sorted(sys.path_importer_cache)]))
"""
FINDERS = "import sys; print([type(finder).__name__ for finder in sys.meta_path])"
STATE = """
from __future__ import print_function
import os, sys
here = os.environ["PYTHONPATH"].split(os.pathsep)[0]
print(here in sys.path, "sitecustomize" in sys.modules, "_train_supervisor" in sys.modules,
      os.path.isfile(os.path.join(here, "sitecustomize.py")))
"""


@pytest.mark.parametrize("python", pythons())
def test_each_python_runs_on(installation: Installation, python: str) -> None:
    """Any Python prints nothing of its own; from 3.9 on CPython has the hook."""
    has_hook = version_of(python) >= OLDEST and "pypy" not in python
    said = installation.says(STATE, "-W", "error", python=python)
    assert said == f"False False {has_hook} True"


@pytest.mark.parametrize("python", pythons())
def test_the_users_sitecustomize_runs(installation: Installation, python: str) -> None:
    """It runs once, as without the hook, and is the module of that name."""
    mine = installation.write("mine/sitecustomize.py", "print('mine')").parent
    ask = "import sys; print(sys.modules['sitecustomize'].__file__.rsplit('.')[0])"
    environment = installation.environment(mine)
    said = installation.says(ask, python=python, environment=environment)
    assert said.split() == ["mine", str(mine / "sitecustomize")]


@pytest.mark.parametrize("error", ["ValueError('mine')", "ImportError('mine', name='absent')"])
def test_the_users_sitecustomize_fails(installation: Installation, error: str) -> None:
    """Its error is told as without the hook, and the program runs."""
    mine = installation.write("mine/sitecustomize.py", f"raise {error}").parent
    with_hook, without = (
        installation.run(
            "-c", "print('ran')", environment=installation.environment(mine, hook=hook)
        )
        for hook in (True, False)
    )
    assert with_hook.stdout == without.stdout == "ran\n"
    assert "Error in sitecustomize" in without.stderr
    assert with_hook.stderr == without.stderr


def test_usercustomize_runs(installation: Installation) -> None:
    """The customization of the user's site runs after ours."""
    base = installation.folder / "user"
    folder = f"user/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    installation.write(f"{folder}/usercustomize.py", "import sys; print(len(sys.meta_path))")
    python = getattr(sys, "_base_executable", sys.executable)  # a venv has no user site
    environment = installation.environment(PYTHONUSERBASE=str(base))
    bare = installation.environment(hook=False, PYTHONUSERBASE=str(base))
    with_hook = installation.says("pass", python=python, environment=environment)
    without = installation.says("pass", python=python, environment=bare)
    assert int(with_hook) == int(without) + 1


@pytest.mark.parametrize("options", [(), ("-P",), ("-X", "utf8"), ("-O",)], ids=str)
def test_the_program_sees_nothing_else(
    installation: Installation, options: tuple[str, ...]
) -> None:
    """sys.path is the same, sys.modules but for the private name, and so are the known folders."""
    if "-P" in options and sys.version_info < (3, 11):
        pytest.skip("this Python has no -P")
    with_hook, without = (
        json.loads(
            installation.says(
                SEEN, *options, environment=installation.environment(installation.library, hook=on)
            )
        )
        for on in (True, False)
    )
    assert with_hook[0] == without[0]
    added = set(with_hook[1]) - set(without[1])
    assert {name.partition(".")[0] for name in added} == {"_train_supervisor"}
    assert set(without[1]) <= set(with_hook[1])
    assert set(with_hook[2]) - set(without[2]) <= {
        str(installation.package), str(installation.package / "integrations")
    }  # fmt: skip


@pytest.mark.parametrize("options", [("-I",), ("-E",), ("-S",)], ids=str)
def test_options_that_shut_the_hook_out(
    installation: Installation, options: tuple[str, ...]
) -> None:
    """Python then does not read PYTHONPATH or run `site`: the program runs as without the hook."""
    said = installation.says(FINDERS, *options)
    assert "type" in said
    assert "LibraryFinder" not in said


def test_a_wrapper_replaces_the_path(installation: Installation) -> None:
    """Without the folder in PYTHONPATH nothing is there."""
    code = f"""
    import os, subprocess, sys
    os.environ["PYTHONPATH"] = {str(installation.library)!r}
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", {FINDERS!r}], check=True)
    """
    assert "LibraryFinder" not in installation.says(code)


def test_none_means_none(installation: Installation) -> None:
    """With SUPERVISOR_INTEGRATE=none an inherited folder has no effect but to hide itself."""
    environment = installation.environment(SUPERVISOR_INTEGRATE="none")
    assert installation.says(STATE, environment=environment) == "False False False True"


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_multiprocessing(installation: Installation, method: str) -> None:
    """They have the hook as well, import the library adapted, and print nothing."""
    path = installation.write(
        "script.py",
        f"""
        import multiprocessing, sys

        def work(queue):
            from transformers.trainer import Trainer
            queue.put((Trainer().train(), type(sys.meta_path[0]).__name__))

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            queue = context.SimpleQueue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(*queue.get())
            child.join()
            print(child.exitcode)
        """,
    )
    done = installation.run("-W", "ignore::DeprecationWarning", str(path))
    assert (done.stdout, done.stderr) == ("adapted trained LibraryFinder\n0\n", "")


def test_a_child_python_of_each_version(installation: Installation) -> None:
    """A trainer's helpers may be other Pythons; all of them run, and print only their own."""
    commands = [[python, "-c", "print(1)"] for python in pythons()]
    code = f"import subprocess\nfor command in {commands!r}: subprocess.run(command, check=True)"
    assert installation.says(code).split() == ["1"] * len(commands)


def test_a_bare_venv_and_a_foreign_supervisor(installation: Installation) -> None:
    """Nothing of ours is needed in the trainer's Python; a package of our name does not disturb."""
    venv = installation.folder / "venv"
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    installation.write(f"{site.relative_to(installation.folder)}/supervisor/__init__.py", "X = 1")
    code = """
    import importlib.util, sys
    import supervisor
    from transformers.trainer import Trainer
    from _train_supervisor.integrations.training import Training
    training = Training("huggingface", "5", "out", 10)
    training.beat(1)
    print(Trainer().train(), supervisor.X, supervisor.__path__ == [sys.prefix + SITE])
    print(importlib.util.find_spec("supervisor.worker"), training.is_supervised)
    """.replace("SITE", repr(f"/{site.relative_to(venv)}/supervisor"))
    said = installation.says(code, python=str(venv / "bin" / "python"))
    assert said.split() == ["adapted", "trained", "1", "True", "None", "True"]


@pytest.mark.parametrize(
    "gone",
    ["following", "entry_points", "telling", "training", "attachment", "record", "factories"],
)
def test_files_that_are_removed_while_it_runs(installation: Installation, gone: str) -> None:
    """An upgrade takes away what a living trainer imports later: the library works without it."""
    installation.adapt(
        """
        def patch(module):
            from .training import Training
            Training("huggingface", "5", "out", 1).beat(1)
        """
    )
    installation.adapt("def callbacks(): return []", "lightning_factory")
    code = f"""
    import importlib.metadata, os
    os.unlink({str(installation.package / "integrations" / (gone + ".py"))!r})
    from transformers.trainer import Trainer
    names = [each.name for each in importlib.metadata.entry_points(group="console_scripts")]
    for each in importlib.metadata.entry_points(group="lightning.pytorch.callbacks_factory"):
        print(each.load()())
    print(Trainer().train())
    """
    environment = installation.environment(
        installation.library, SUPERVISOR_LAUNCHER=f"{os.getpid()}:0"
    )
    lines = installation.says(code, environment=environment).splitlines()
    assert lines[-1] == "trained"
    assert lines[:-1] == ([] if gone in ("entry_points", "factories") else ["[]"])


@pytest.mark.parametrize(
    "damage", ["hook.py", "__init__.py", "startup/../../worker/adapters.py"], ids=str
)
@pytest.mark.parametrize("how", ["missing", "raises"])
def test_damaged_files(installation: Installation, damage: str, how: str) -> None:
    """An upgrade may take the files away at any moment: the program runs as without the hook."""
    path = installation.package / "integrations" / damage
    path.unlink() if how == "missing" else path.write_text("raise SystemError('damaged')\n")
    said = installation.says("import transformers.trainer, sys; print('ran', len(sys.path) > 1)")
    assert said == "ran True"


def test_a_script_changes_the_path(installation: Installation) -> None:
    """What a script does to sys.path and PYTHONPATH later does not matter to this process."""
    code = """
    import os, sys
    os.environ["PYTHONPATH"] = ""
    sys.path[:] = [entry for entry in sys.path if "pipx" not in entry]
    from transformers.trainer import Trainer
    import importlib.metadata
    print(Trainer().train(), "_train_supervisor" in sys.modules)
    """
    assert installation.says(code) == "adapted trained True"


def test_twice_in_the_path(installation: Installation, tmp_path: Path) -> None:
    """A run inside a run, of another installation: one hook, and neither folder in sys.path."""
    (tmp_path / "second").mkdir()
    second = Installation(tmp_path / "second")
    environment = installation.environment(second.startup, installation.library)
    code = "import sys; print(sum('startup' in entry for entry in sys.path)); " + FINDERS
    count, finders = installation.says(code, environment=environment).splitlines()
    assert (count, finders.count("LibraryFinder")) == ("0", 1)
