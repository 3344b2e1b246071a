"""The daemon is killed under Linux's initiator, and comes back."""

from guest.guest import MIB, PATIENCE, Guest, fio, wait_for_writes
from lab.process import wait_until


def test_the_daemon_is_killed_under_fio(guest: Guest) -> None:
    """Three times, in the middle of writes: no error, and nothing is lost."""
    with guest.disk("killed") as disk:
        job = guest.repeat(fio(disk.device, 12 * MIB, 16, "4k-16k"))
        for _ in range(3):
            wait_for_writes(disk)
            guest.server.kill()
            guest.server.start(PATIENCE)
            wait_until("the guest to be back", lambda: guest.counters()["sessions"] == 1, PATIENCE, 0.5)
            wait_for_writes(disk)
            job.check()
        job.finish()
        guest.assert_same(disk)
        assert guest.run("dmesg | grep -E 'I/O error|offlined'", check=False).output == ""
