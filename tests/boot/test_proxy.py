"""Another server gives out the addresses (dnsmasq, on a machine of its own); nodisk is its proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import wait_until
from lab.qemu import Machine

NAME, MAC = "beside1", "52:54:00:77:4e:71"
OTHER = "10.77.0.2"
NO_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
          "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]


@pytest.fixture
def daemon(namespace: Namespace, tmp_path: Path) -> Iterator[Nodisk]:
    """A daemon as a proxy, and the server whose proxy it is."""
    with Namespace(tmp_path / "other", "other") as other:
        namespace.join(other, "eth0", f"{OTHER}/24")
        other.start("dnsmasq", "dnsmasq", "--keep-in-foreground", "--port=0", "--no-resolv", "--conf-file=/dev/null",
                    "--interface=eth0", "--bind-interfaces", "--user=root", "--dhcp-range=10.77.0.200,10.77.0.220,1h",
                    f"--dhcp-leasefile={other.work}/leases", f"--pid-file={other.work}/pid", "--log-facility=-")
        wait_until("dnsmasq serving DHCP", lambda: ":67 " in other.run("ss", "-lun").stdout, 300)
        nodisk = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + "mode = proxy\n")
        nodisk.start()
        yield nodisk
        nodisk.stop()


def stages(daemon: Nodisk) -> dict[str, str]:
    """Of the node's boot, with what is told of each."""
    return {stage["stage"]: stage["detail"] for stage in daemon.json("status")["nodes"][0]["boot"]["stages"]}


def sent(daemon: Nodisk) -> dict[str, int]:
    """DHCP answers of ours, by type."""
    return {kind: count for kind, count in daemon.json("status")["counters"]["dhcp"]["sent"].items() if count}


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_as_far_as_the_login(daemon: Nodisk, golden: Path, firmware: str) -> None:
    """With CHAP: the node's secrets go to the machine that has its MAC on the wire. UEFI asks at port 4011."""
    daemon.cli("node", "add", NAME, "--mac", MAC, "--image", daemon.import_image(golden), "--chap", "mutual",
               timeout=600)
    machine = Machine(daemon.namespace, NAME, MAC, firmware=firmware)
    with machine:
        machine.login(timeout=900)
        assert machine.run("hostname", timeout=300).output == NAME
        assert "inet 10.77.0.2" in machine.run("ip -4 addr show", timeout=300).output  # the other server's pool
        daemon.wait_stage(NAME, "up", 300)
    expected = ["address", "loader", "script", "firmware", "initramfs", "up"]
    if firmware == "bios":  # its ROM is iPXE: it needs no loader
        expected.remove("loader")
    assert list(stages(daemon)) == expected
    assert stages(daemon)["address"] == "from another server"
    # an offer for each DISCOVER; UEFI's PXE client has its file from port 4011
    assert sent(daemon).keys() == ({"offer", "ack"} if firmware == "uefi" else {"offer"})


@pytest.mark.full
def test_http_boot_as_far_as_the_script(daemon: Nodisk) -> None:
    """UEFI's HTTP boot takes the URL of the proxy's offer."""
    daemon.cli("node", "add", NAME, "--mac", MAC)
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=NO_PXE)
    with machine:
        daemon.wait_stage(NAME, "script", 300)
    assert list(stages(daemon)) == ["address", "loader", "script"]
    assert stages(daemon)["loader"] == "snponly.efi by HTTP"
    assert daemon.json("status")["counters"]["tftp"]["requests"] == 0
