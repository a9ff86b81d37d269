"""A run with rules of the user's own: refused, used, and gone on without."""

import os
import signal
import sys
from pathlib import Path

from tests.e2e.conftest import Supervised

RULES = """
- pattern: license server .* refused
  failure: license_expired
  action: hold
  example: "LicenseError: license server lic1 refused seat 3"
  advice: {sentence: Renew the license.}
"""
SLOW = r"""
- pattern: '(\w+\s?)*stop='
  failure: slow_one
  action: restart
  example: x stop=
"""
_REFUSED = "import time; {wait}; print('license server lic7 refused seat 2'); raise SystemExit(3)"
_SLOW_LINES = "[print('loss ' * 12 + 'a' * 40 + '!') for _ in range(20)]"


def configured(run: Supervised, text: str, *, wait: str = "0") -> Path:
    """Write the rules and a configuration that names them; the path of the rules."""
    rules = run.folder / "my_rules.yaml"
    rules.write_text(text)
    script = run.folder / "t.py"
    script.write_text(_REFUSED.format(wait=wait))
    run.configure(command=[sys.executable, str(script)], diagnosis={"rules": "my_rules.yaml"})
    return rules


def test_the_users_name_and_action_are_on_record(run: Supervised) -> None:
    """The run is held, and status, ledger and terminal have the user's name and advice."""
    configured(run, RULES)
    assert run.run("--plain") == 1
    assert run.status["failure"] == "license_expired"
    assert run.status["advice"]["sentence"] == "Renew the license."
    (ended,) = run.entries("attempt_ended")
    assert (ended["failure"], ended["action"]) == ("license_expired", "hold")
    assert "held: license expired: license server lic7 refused" in run.text
    log = str(run.paths.train_log)
    for option in (["--rules", "my_rules.yaml"], ["--config", str(run.config)]):
        said = run.raw("diagnose", log, "--code", "3", *option)
        assert said.stdout.startswith("license_expired"), said.stderr
    assert run.raw("diagnose", log, "--code", "3").stdout.startswith("unknown")


def test_a_wrong_file_is_refused_before_anything_starts(run: Supervised) -> None:
    """`run` says what to correct, exits with 78, and has made no directory; so does `check`."""
    configured(run, RULES.replace("hold", "hild"))
    assert run.run("--plain") == 78
    assert "my_rules.yaml: rule 1, action: expected restart, backoff" in run.text
    assert not run.run_dir.exists()
    checked = run.raw("check", str(run.config))
    assert checked.returncode == 78
    assert "rule 1, action" in checked.stdout
    (run.folder / "my_rules.yaml").unlink()
    assert run.run("--plain") == 78
    assert "my_rules.yaml: cannot be read: No such file" in run.text
    assert not run.run_dir.exists()


def test_check_tries_each_pattern(run: Supervised) -> None:
    """A pattern that backtracks is named with its rule; good rules are counted."""
    configured(run, RULES + SLOW)
    checked = run.raw("check", str(run.config))
    assert checked.returncode == 78
    said = " ".join(checked.stdout.split())
    assert "my_rules.yaml: rule 2, pattern: '(\\w+\\s?)*stop=' takes too long" in said
    configured(run, RULES)
    said = " ".join(run.raw("check", str(run.config)).stdout.split())
    assert "my_rules.yaml: 1 rule, each matches its example and is quick" in said


def test_a_daemon_goes_on_without_a_broken_file(run: Supervised) -> None:
    """Edited meanwhile, the file costs the rules and no more; `status` says so until a reload."""
    gate = run.gate
    wait = f"import os\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)\nif 1: 0"
    rules = configured(run, RULES, wait=wait)
    run.start("--plain")
    run.wait(lambda: run.status.get("state") == "running")
    rules.write_text("- [")
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.wait(lambda: any("your own rules cannot be used" in w for w in run.status["warnings"]))
    rules.write_text(RULES)
    assert run.command("reload").returncode == 0
    run.wait(lambda: run.status.get("warnings") == [])
    run.let_go()
    assert run.finish() == 1
    assert run.status["failure"] == "license_expired"
    assert run.strays() == []


def test_a_slow_rule_is_switched_off_and_told_once(run: Supervised) -> None:
    """The end is judged without the rule, and a warning names its number."""
    configured(run, SLOW + RULES, wait=_SLOW_LINES)
    assert run.run("--plain") == 1
    assert run.status["failure"] == "license_expired"
    assert run.text.count("rule 1 of") == 1
    assert "takes too long on lines such as 'loss loss" in run.text
