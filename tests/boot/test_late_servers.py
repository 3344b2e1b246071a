"""Power comes back, and the servers last: whatever is not there yet, the node waits for it in iPXE and boots by itself.

Each test prints how long the next step took from the server's return. NODISK_AWAY=SECONDS for the longest absence.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import plain_rom
from lab.netns import BRIDGE, Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import wait_until
from lab.qemu import Machine

IPXE = Path("/boot/ipxe.lkrn")  # of the package ipxe
NAME, MAC, ADDRESS = "late1", "52:54:00:77:4e:b1", "10.77.0.91"
MAC2, ADDRESS2 = "52:54:00:77:4e:b2", "10.77.0.92"
PROMISED = 30
# seconds; emulated machines on a busy processor are given more time than is promised
PATIENCE = 4 * PROMISED
AWAY = 45
LONG_AWAY = int(os.environ.get("NODISK_AWAY", 25 * 60))
SPANNING_TREE = 45

NO_CARD = "no card has got a boot script; trying again"
NO_DISK = f"nodisk: {NAME} cannot boot volume"
NO_HTTP = CONFIG + "\n[http]\nlisten = 127.0.0.1:80\n"
NO_ISCSI = CONFIG.replace("[iscsi]\n", "[iscsi]\nlisten = 127.0.0.1:3260\n")

pytestmark = [pytest.mark.full, pytest.mark.skipif(not IPXE.exists(), reason=f"{IPXE} is not installed")]


def stick(daemon: Nodisk, name: str = NAME, mac: str = MAC) -> Machine:
    """A machine that boots iPXE with our script in it, as from a USB stick."""
    script = daemon.namespace.work / "boot.ipxe"
    script.write_text(daemon.cli("loaders", "script").stdout)
    return Machine(daemon.namespace, name, mac, card="virtio-net-pci,romfile=",
                   extra=["-kernel", str(IPXE), "-initrd", str(script)])


@pytest.fixture
def daemon(namespace: Namespace, golden: Path) -> Iterator[Nodisk]:
    """One that knows the node, and has been stopped."""
    nodisk = Nodisk(namespace, namespace.work / "nodisk")
    nodisk.add_overlay(NAME, MAC, ADDRESS, golden)
    nodisk.stop()
    yield nodisk
    nodisk.stop()


def restart(daemon: Nodisk, config: str) -> None:
    """Kills it, as a power cut would, and starts it with this configuration."""
    daemon.kill()
    daemon.config = config
    daemon.start()


def measure(what: str, bring_back: Callable[[], None], done: Callable[[], object]) -> None:
    """From the server's return to the next step."""
    bring_back()
    begin = time.monotonic()
    wait_until(f"the next step after {what}", done, PATIENCE, 0.1)
    print(f"\n{what}: the next step {time.monotonic() - begin:.1f} s after its return (promised: {PROMISED})")


def has_reached(daemon: Nodisk, stage: str, name: str = NAME) -> bool:
    """Whether the boot has come so far."""
    return any(entry["name"] == name and entry["boot"] and stage in [step["stage"] for step in entry["boot"]["stages"]]
               for entry in daemon.json("status")["nodes"])


def test_nobody_answers_dhcp(daemon: Nodisk) -> None:
    """Nothing runs when the machine is switched on."""
    machine = stick(daemon)
    with machine:
        machine.console.expect(NO_CARD, 300)
        time.sleep(AWAY)
        measure("DHCP", daemon.start, lambda: has_reached(daemon, "script"))
        machine.login(timeout=900)


def test_nobody_answers_http(daemon: Nodisk) -> None:
    """An address, and no script."""
    restart(daemon, NO_HTTP)
    machine = stick(daemon)
    with machine:
        machine.console.expect(NO_CARD, 300)
        time.sleep(AWAY)
        measure("HTTP", lambda: restart(daemon, CONFIG), lambda: has_reached(daemon, "script"))
        machine.login(timeout=900)


def test_nobody_answers_iscsi(daemon: Nodisk) -> None:
    """A script, and no disk; then the server is gone altogether."""
    restart(daemon, NO_ISCSI)
    machine = stick(daemon)
    with machine:
        machine.console.expect(NO_DISK, 300)
        daemon.kill()
        time.sleep(AWAY)
        measure("iSCSI", lambda: restart(daemon, CONFIG), lambda: has_reached(daemon, "firmware"))
        machine.login(timeout=900)


@pytest.mark.parametrize("what", ["kernel", "initramfs"])
def test_the_server_goes_while_the_node_fetches(daemon: Nodisk, what: str) -> None:
    """Direct boot: killed while one of the two is on its way."""
    daemon.start()
    machine = stick(daemon)
    with machine:
        machine.console.expect(rf"nodisk: loading the {what}", 300)
        daemon.kill()
        time.sleep(AWAY)
        here = len(machine.console.text)
        # from its own loader, which says so, too, if it could not be fetched
        measure(what, daemon.start,
                lambda: re.search("nodisk: (loading|starting) the kernel|GRUB", machine.console.text[here:]))
        machine.login(timeout=900)


def test_nobody_answers_tftp(namespace: Namespace, daemon: Nodisk, tmp_path: Path) -> None:
    """A ROM's own affair: it gives up, and the firmware has to be set up to try again, as SeaBIOS is here."""
    with Namespace(tmp_path / "rack", "rack") as rack:
        rack.add_bridge("10.78.0.1/24")
        namespace.join(rack, "up0", "10.77.0.2/24")
        rack.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        rack.run("ip", "route", "add", "default", "via", "10.77.0.1")
        namespace.run("ip", "route", "add", "10.78.0.0/24", "via", "10.77.0.2")
        behind = f"\n[subnet behind]\ninterface = {BRIDGE}\nnetwork = 10.78.0.0/24\nrouter = 10.78.0.1\n"
        restart(daemon, CONFIG + behind + "[tftp]\nlisten = 127.0.0.1:69\n")
        daemon.cli("node", "set", NAME, "--address", "10.78.0.91")
        relay = rack.start("relay", sys.executable, plain_rom.__file__, BRIDGE, "10.78.0.1", "10.77.0.1")
        wait_until("the relay", lambda: "relaying" in relay.output(), 300)
        machine = Machine(rack, NAME, MAC, extra=["-boot", "reboot-timeout=1000"])
        with machine:
            machine.console.expect("No more network devices|No bootable device", 300)
            # who waits for its console has it start again
            measure("TFTP", lambda: restart(daemon, CONFIG + behind),
                    lambda: machine.console.expect(r"undionly\.kpxe\.\.\. ok", PATIENCE))
            machine.login(timeout=900)


def test_away_for_long(daemon: Nodisk, golden: Path) -> None:
    """One machine waits for an address, another one for its disk, for 25 minutes or as long as was asked for."""
    restart(daemon, NO_ISCSI)
    daemon.add_overlay("late2", MAC2, ADDRESS2, golden)
    first, second = stick(daemon), stick(daemon, "late2", MAC2)
    try:
        second.power_on()
        second.console.expect("nodisk: late2 cannot boot volume", 300)
        daemon.kill()
        first.power_on()
        first.console.expect(NO_CARD, 300)
        time.sleep(LONG_AWAY)
        measure("all of it", lambda: restart(daemon, CONFIG),
                lambda: has_reached(daemon, "script") and has_reached(daemon, "firmware", "late2"))
        first.login(timeout=900)
        second.login(timeout=900)
    finally:
        first.kill()
        second.kill()


def test_a_port_with_spanning_tree(namespace: Namespace, daemon: Nodisk) -> None:
    """Linux' bridge as a switch with STP lets nothing through for 44 seconds, in words that iPXE does not know."""
    daemon.start()
    for setting in (["forward_delay", "2200"], ["hello_time", "200"], ["stp_state", "1"]):
        namespace.run("ip", "link", "set", BRIDGE, "type", "bridge", *setting)
    machine = stick(daemon)
    with machine:
        machine.console.expect(NO_CARD, 600)
        assert not has_reached(daemon, "address")
        wait_until("the script", lambda: has_reached(daemon, "script"), PATIENCE)
        print(f"\nspanning tree of 44 s: the script {machine.seconds():.0f} s after power-on")
        machine.login(timeout=900)


@pytest.mark.parametrize("rom", ["stick", "ROM"])
def test_a_port_that_says_nothing(namespace: Namespace, daemon: Nodisk, rom: str) -> None:
    """Frames are dropped for 45 seconds: our script asks again; a ROM gives up, and the firmware tries again."""
    daemon.start()
    machine = stick(daemon) if rom == "stick" else Machine(
        namespace, NAME, MAC, extra=["-boot", "reboot-timeout=1000"])
    namespace.add_tap(machine.tap)
    namespace.run("ip", "link", "set", machine.tap, "nomaster")
    with machine:
        time.sleep(SPANNING_TREE)
        assert not has_reached(daemon, "address")
        gave_up = "No more network devices" in machine.console.text
        here = len(machine.console.text)
        measure(f"a silent port, {rom} ({'it had given up' if gave_up else 'it was asking'})",
                lambda: namespace.run("ip", "link", "set", machine.tap, "master", BRIDGE),
                lambda: machine.console.expect(r"boot\.ipxe\S*\.\.\. ok", PATIENCE, here))
        machine.login(timeout=900)


def test_a_server_that_hangs(daemon: Nodisk) -> None:
    """It takes connections and says nothing more: fetching a script ends after a while, and begins anew."""
    restart(daemon, NO_ISCSI)
    machine = stick(daemon)
    with machine:
        machine.console.expect(NO_DISK, 300)
        assert daemon.process
        daemon.process.child.send_signal(signal.SIGSTOP)
        here = len(machine.console.text)
        machine.console.expect(NO_DISK, 300, here)  # having asked for a script in vain
        measure("a server that hung", lambda: restart(daemon, CONFIG), lambda: has_reached(daemon, "firmware"))
