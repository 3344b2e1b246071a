"""A node of the tests' own, web1 with volume disk1, and what its firmware and its iPXE ask for."""

import struct

import pytest
from netlab import SERVER, Client, Wire

NODE, ADDRESS = "52:54:00:10:00:01", "10.0.0.11"
MAC = NODE.replace(":", "-")


class Machine:
    """web1: its firmware, and what its iPXE fetches."""

    def __init__(self, lab) -> None:
        self.namespace = lab.client(f"{ADDRESS}/24")
        self.wire = Wire(self.namespace)

    def power_on(self) -> None:
        client = Client(self.wire, NODE)
        client.extra[77] = b"iPXE"
        assert client.lease() == ADDRESS

    def firmware(self, name: str, architecture: int) -> None:
        """UEFI asks DHCP, and loads iPXE."""
        client = Client(self.wire, NODE)
        client.extra |= {60: name.encode(), 93: struct.pack("!H", architecture)}
        assert client.lease() == ADDRESS

    def get(self, path: str) -> tuple[int, str]:
        done = self.namespace.run("curl", "-sS", "--max-time", "30", "-A", "iPXE/1.0.0+", "-w", "\n%{http_code}",
                                  f"http://{SERVER}{path}", check=False)
        body, status = done.stdout.rsplit("\n", 1)
        return int(status or 0), body

    def script(self, query: str = "") -> str:
        status, text = self.get(f"/boot.ipxe?mac={MAC}{query}")
        assert status == 200 and text.startswith("#!ipxe\n") and text.endswith("\n"), text
        return text

    def boot(self) -> str:
        self.power_on()
        return self.script()


@pytest.fixture
def daemon(lab):
    d = lab.daemon()
    assert d.post("/v1/groups", name="lab").result
    assert d.post("/v1/volumes", name="disk1", size=1 << 20).result
    assert d.post("/v1/nodes", name="web1", macs=[NODE], address=ADDRESS, volume="disk1", group="lab").result
    return d


@pytest.fixture
def machine(lab):
    m = Machine(lab)
    yield m
    m.wire.close()
