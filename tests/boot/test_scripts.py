"""A tree of scripts that was made for another server boots a node, by its menu, from a disk of ours."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import BASE_IQN, CONFIG, Nodisk
from lab.qemu import Machine

TREE = Path(__file__).parent.parent / "lab" / "tree"
NAME, MAC = "menu1", "52:54:00:00:0a:01"


@pytest.fixture
def daemon(namespace: Namespace) -> Iterator[Nodisk]:
    work = namespace.work / "nodisk"
    shutil.copytree(TREE, work / "scripts")
    nodisk = Nodisk(namespace, work, config=CONFIG + "\n[scripts]\ndirectory = {work}/scripts\nboot = yes\n")
    nodisk.start()
    yield nodisk
    nodisk.stop()


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_node_boots_by_the_menu_of_a_tree(daemon: Nodisk, golden: Path, firmware: str) -> None:
    daemon.cli("image", "import", golden, "--name", "debian12", timeout=600)
    daemon.images[golden] = "debian12"
    daemon.add_overlay(NAME, MAC, "10.77.0.31", golden)
    with Machine(daemon.namespace, NAME, MAC, firmware=firmware) as machine:
        console = machine.console
        console.expect(f"Boot menu of {BASE_IQN}:{NAME}", 300)  # by boot/hostname-menu1.ipxe, which waits for a minute
        here = len(console.text)
        console.send("t")
        console.expect("Test the memory", 60, here)
        here = len(console.text)
        console.send("b")
        console.expect("Another system", 60, here)
        here = len(console.text)
        console.send("o")  # a disk that is not there comes back to the tree's shell
        console.expect("That did not boot", 120, here)
        console.expect("iPXE> ", 60, here)
        here = len(console.text)
        console.send("exit\n")
        console.expect("Another system", 60, here)
        here = len(console.text)
        console.send("d")
        console.expect(f"Booting Debian 12 for {BASE_IQN}:{NAME}", 60, here)
        machine.login(timeout=900, start=here)
        ibft = "/sys/firmware/ibft"
        assert machine.run(f"cat {ibft}/target0/target-name").output == f"{BASE_IQN}:{NAME}.debian12"
        assert machine.run(f"cat {ibft}/initiator/initiator-name").output == f"{BASE_IQN}:{NAME}"
        assert machine.run("hostname").output == NAME
        assert f"login of {BASE_IQN}:{NAME} from 10.77.0.31" in daemon.log()
