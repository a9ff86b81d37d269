"""A unit of a user manager, without root, when the manager is stopped and started."""

from collections.abc import Iterator

import pytest

from tests.rigs.systemd.conftest import SUPERVISOR, UnitUnderTest
from tests.rigs.systemd.machine import ACCOUNT, ACCOUNT_ID, Machine

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]

# The content of user@.service without PAM and logind, which the machine does not run.
MANAGER = f"""[Service]
User={ACCOUNT}
Type=notify
KillMode=mixed
Delegate=yes
RuntimeDirectory=user/{ACCOUNT_ID}
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=/run/user/{ACCOUNT_ID}
ExecStart=/lib/systemd/systemd --user
TimeoutStopSec=120s
"""


class UserUnit(UnitUnderTest):
    """The same for a unit of the user's own systemd."""

    def install(self, *options: str, settings: str = "") -> None:
        """Install as the user; the output names lingering."""
        self.machine.run("chown", "-R", f"{ACCOUNT_ID}:{ACCOUNT_ID}", str(self.folder))
        words = ["systemd", "install", "--user", str(self.config)]
        done = self.machine.run_as_account(*SUPERVISOR, *words, cwd=self.folder)
        assert "loginctl enable-linger" in done.stderr
        assert f"systemctl --user enable --now {self.unit.removesuffix('.service')}" in done.stdout

    def systemctl(self, verb: str, *options: str, check: bool = True, timeout_s: float = 90) -> str:
        """Run `systemctl --user VERB` on the unit."""
        words = ["systemctl", "--user", verb, *options, self.unit]
        return self.machine.run_as_account(*words, check=check, timeout_s=timeout_s).stdout


@pytest.fixture
def user_unit(machine: Machine) -> Iterator[UserUnit]:
    """A unit under a running user manager."""
    (machine.folder / "units" / "manager.service").write_text(MANAGER)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "manager.service")
    yield UserUnit(machine, "user-unit")
    machine.run("systemctl", "stop", "manager.service", check=False, timeout_s=100)


def test_user_unit_saves_and_resumes_with_its_manager(
    user_unit: UserUnit, machine: Machine
) -> None:
    """The run saves and ends with the user manager, and resumes when the manager is back."""
    user_unit.configure(env={"SAVE_EVERY": 1000000})
    user_unit.start()
    user_unit.wait_step(10)
    user_unit.wait(lambda: "running: attempt 1" in user_unit.fact("StatusText"))
    assert f"/{user_unit.unit}/attempt-" in user_unit.entries("attempt_started")[0]["cgroup"]
    machine.run("systemctl", "stop", "manager.service", timeout_s=100)
    saved = user_unit.newest_checkpoint()
    assert saved["kind"] == "emergency"
    assert user_unit.strays() == []
    machine.run("systemctl", "start", "manager.service")
    assert user_unit.begun_at(2) == saved["step"] + 1
    user_unit.systemctl("stop")
    assert user_unit.fact("Result") == "success"
