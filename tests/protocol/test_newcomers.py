"""Machines that are no nodes: ignored, sent to their own disk, or registered and then adopted."""

import json
import os
import struct
import subprocess
from urllib.parse import quote

import pytest
from daemon import NODISK, make_image, wait_until
from netlab import FAR, SERVER, SUBNET, Client, NetLab, Wire

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

MACS = [f"52:54:00:4e:00:{n:02x}" for n in range(1, 7)]
REGISTER = SUBNET + "unknown = register\n"
IPXE = {77: b"iPXE", 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
PXE = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
GIB = 1 << 30


class Machine:
    """One that boots, and says what it is as iPXE does."""

    def __init__(self, lab: NetLab, mac: str, **facts: str) -> None:
        self.namespace, self.mac = lab.client(), mac
        self.wire = Wire(self.namespace)
        lab.stack.callback(self.wire.close)
        self.address = ""
        self.facts = {"manufacturer": "ACME & Söhne", "product": "R&D 640", "serial": "7XK 2J", **facts}

    def lease(self) -> str:
        client = Client(self.wire, self.mac)
        client.extra = dict(IPXE)
        self.use(client.lease())
        return self.address

    def use(self, address: str) -> None:
        self.address = address
        self.namespace.run("ip", "addr", "flush", "dev", "eth0")
        self.namespace.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")

    def get(self, query: str = "") -> str:
        return self.namespace.run("curl", "-sS", "-f", "--globoff", "--max-time", "60", "-A", "iPXE/1.0.0+",
                                  f"http://{SERVER}/boot.ipxe?mac={self.mac.replace(':', '-')}{query}").stdout

    def query(self) -> str:
        texts = "".join(f"&{key}={value.encode().hex()}" for key, value in self.facts.items())
        pieces = ((0, 2 * (1 << 20) - 1), (4 << 20, 6 * (1 << 20) - 1))  # KiB
        ranges = "-".join(struct.pack("<II", *piece).hex() for piece in pieces)
        return (f"&uuid=4C4C4544-0058-4B10-8032-{self.mac.replace(':', '').upper()}{texts}&card={b'virtio-net'.hex()}"
                f"&arch=x86_64&firmware=efi&memory={ranges}--&ranges=---")

    def tell(self) -> str:
        return self.get(self.query())


def pending(daemon) -> list[dict]:
    return json.loads(daemon.ok("--json", "node", "list", "--pending"))["pending"]


# --- local and ignore ---


def test_by_default_it_boots_its_own_disk(lab):
    daemon = lab.daemon()
    machine = Machine(lab, MACS[0])
    machine.lease()
    assert machine.get().splitlines()[-1] == "exit"
    assert machine.tell().splitlines()[-1] == "exit"
    assert pending(daemon) == [] and "no machine waits" in daemon.ok("node", "list", "--pending")


@pytest.mark.parametrize("extra", [PXE, IPXE, {60: b"HTTPClient:Arch:00016:UNDI:003001", 93: b"\0\x10"}])
def test_who_is_ignored_gets_no_answer(lab, extra):
    daemon = lab.daemon(SUBNET + "unknown = ignore\n")
    wire = Wire(lab.client())
    lab.stack.callback(wire.close)
    stranger = Client(wire, MACS[0])
    stranger.extra = dict(extra)
    assert stranger.discover(wait=0.5) is None
    assert stranger.select("10.0.0.100", wait=0.5) is None
    wait_until(lambda: daemon.get("/v1/status").json["counters"]["dhcp"]["odd"]["ignored"] == 2, "both to be counted")
    daemon.wait_line(f"{MACS[0]} boots by ", "[subnet lab] has unknown = ignore")
    # one that does not boot, and one that is a node
    assert Client(wire, MACS[1]).lease().startswith("10.0.0.")
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    stranger.lease()


# --- register ---


def test_it_waits_is_adopted_and_boots(lab):
    daemon = lab.daemon(REGISTER)
    machine = Machine(lab, MACS[0])
    address = machine.lease()
    script = machine.get()
    assert "&product=${product:hexraw}&" in script and f"boot.ipxe?mac={MACS[0].replace(':', '-')}&uuid=" in script
    for _ in range(4):
        script = machine.tell()
        assert f"nodisk node adopt {MACS[0]} NAME" in script and "exit" not in script.split()
    (found,) = pending(daemon)
    assert found == {
        "mac": MACS[0], "address": address, "subnet": "lab", "circuit_id": None, "remote_id": None,
        "uuid": "4c4c4544-0058-4b10-8032-5254004e0001", "manufacturer": "ACME & Söhne", "product": "R&D 640",
        "serial": "7XK 2J", "card": "virtio-net", "architecture": "x86_64", "firmware": "efi", "memory": 4 * GIB,
        "first_seen": found["first_seen"], "last_seen": found["last_seen"], "reason": found["reason"]}
    shown = daemon.ok("node", "list", "--pending")
    assert "ACME & Söhne R&D 640 (7XK 2J)" in shown and "4 GiB" in shown and "lab" in shown
    daemon.ok("volume", "create", "disk1", "--size", "1M")
    said = daemon.ok("node", "adopt", MACS[0], "web1", "--volume", "disk1", "--address", "10.0.0.11")
    assert said == f"{MACS[0]} is node web1 now\n" and pending(daemon) == []
    script = machine.tell()
    assert "this machine is web1 now; starting over" in script and "\ndhcp ||" in script
    assert machine.lease() == "10.0.0.11"
    assert "set hostname web1\n" in machine.get()
    assert daemon.get("/v1/nodes/web1").json["boots"]


def test_events_tell_of_it(lab):
    daemon = lab.daemon(REGISTER)
    machine = Machine(lab, MACS[0])
    machine.lease()
    log = daemon.work / "events"
    with log.open("w") as file:
        watch = subprocess.Popen([NODISK, "--json", "watch"], stdout=file, stdin=subprocess.DEVNULL,
                                 env={**os.environ, "NODISK_SOCKET": str(daemon.socket)})
    try:
        wait_until(lambda: "snapshot" in log.read_text(), "the watcher", 60)
        machine.tell()
        machine.tell()
        wait_until(lambda: '"event":"pending"' in log.read_text(), "the event", 60)
        (event,) = [json.loads(line) for line in log.read_text().splitlines() if "pending" in line]
        assert event["machine"]["mac"] == MACS[0] and event["machine"]["product"] == "R&D 640"
    finally:
        watch.kill()
        watch.wait(timeout=60)


def test_nobody_says_what_another_is(lab):
    """The address tells who asks; a restart forgets nobody."""
    daemon = lab.daemon(REGISTER)
    machine, thief = Machine(lab, MACS[0]), Machine(lab, MACS[1], product="fake")
    machine.lease()
    thief.lease()
    machine.tell()
    thief.mac = MACS[0]
    assert "does not ask from the address" in thief.tell()
    (found,) = [one for one in pending(daemon) if one["mac"] == MACS[0]]
    assert found["product"] == "R&D 640"
    daemon.stop()
    daemon.start()
    (again,) = [one for one in pending(daemon) if one["mac"] == MACS[0]]
    assert {**again, "reason": None} == {**found, "reason": None}
    daemon.ok("node", "forget", MACS[0])
    assert "waits to be adopted; see" in daemon.refused("node", "forget", MACS[0])
    assert MACS[0] not in [one["mac"] for one in pending(daemon)]
    machine.tell()
    assert MACS[0] in [one["mac"] for one in pending(daemon)]


HOSTILE = ["&uuid=x", "&uuid=", "&uuid=" + "a" * 3000, "&uuid=1&product=" + "41" * 1500, "&uuid=1&product=zz",
           "&uuid=1&product=1b5b324a0d0a00" + "ff" * 60, "&uuid=1&serial=" + quote("'; drop table nodes;\n"),
           "&uuid=1&arch=" + "x" * 100, "&uuid=1&memory=ffffffffffffffff-ffffffffffffffff&ranges=" + "ff" * 16,
           "&uuid=1&memory=" + "-" * 2000, "&uuid=1&product=e280aee2808f" + b"\xed\xa0\x80".hex(), "&uuid=%00%ff"]


def test_nonsense_is_bounded_and_clean(lab):
    daemon = lab.daemon(REGISTER)
    machine = Machine(lab, MACS[0])
    machine.lease()
    for query in HOSTILE:
        assert machine.get(query).startswith("#!ipxe\n"), query
        (found,) = pending(daemon)
        for text in (found["product"], found["serial"], found["uuid"], found["architecture"]):
            assert text is None or (len(text.encode()) <= 64 and text.isprintable()), (query, text)
        assert daemon.cli("node", "list", "--pending").returncode == 0
    assert not daemon.lines("which makes no sense here")


@pytest.mark.parametrize("words, says", [
    (["adopt", MACS[0]], "say which and how it is to be called"),
    (["adopt", MACS[0], "web1", "--all"], "say which and how"),
    (["adopt"], "NAME is missing"),
    (["forget"], "MAC is missing"),
])
def test_words_that_make_no_sense(lab, words, says):
    assert says in lab.daemon(REGISTER).usage("node", *words)


def test_what_cannot_be_adopted_is_refused(lab):
    daemon = lab.daemon(REGISTER)
    machine = Machine(lab, MACS[0])
    machine.lease()
    machine.tell()
    assert "no machine '52:54:00:4e:00:09' waits" in daemon.refused("node", "adopt", "52:54:00:4e:00:09", "web1")
    assert "no group 'rack9'" in daemon.refused("node", "adopt", MACS[0], "web1", "--group", "rack9")
    assert "cannot be a node's name" in daemon.refused("node", "adopt", MACS[0], "Web_1")
    assert "is none" in daemon.refused("node", "adopt", MACS[0], "web-%{colour}")
    assert "several machines cannot all be 'web1'" in daemon.refused("node", "adopt", "--all", "web1")
    assert daemon.post("/v1/adoptions", name="web1").status == 400
    assert daemon.post("/v1/adoptions", name="web-%{mac}", match={"colour": "red"}).status == 400
    assert len(pending(daemon)) == 1


def test_all_that_are_alike_are_adopted_at_once(lab):
    daemon = lab.daemon(REGISTER)
    for n, product in enumerate(["blade", "blade", "tower"]):
        machine = Machine(lab, MACS[n], product=product, serial=f"S{n}")
        machine.lease()
        machine.tell()
    daemon.ok("node", "add", "b-01", "--mac", MACS[5])
    said = daemon.ok("node", "adopt", "b-%{number:02}", "--product", "BLA*")
    assert sorted(line.split()[3] for line in said.splitlines()) == ["b-02", "b-03"]
    assert [one["mac"] for one in pending(daemon)] == [MACS[2]]
    assert "no machine that waits is like that" in daemon.ok("node", "adopt", "x-%{mac}", "--subnet", "nowhere")
    assert daemon.ok("node", "adopt", "--all", "t-%{serial}") == f"{MACS[2]} is node t-s2 now\n"


# --- rules ---

RULES = """[adopt rack]
mac-prefix = 52:54:00:4e
product = blade*
name = rack-%{number:02}
group = rack1
image = golden
[adopt rest]
subnet = lab
product = tower
name = t-%{serial}
"""


def test_rules_adopt(lab, tmp_path):
    daemon = lab.daemon(REGISTER + RULES)
    machines = [Machine(lab, MACS[n], product=product, serial=f"S{n}") for n, product in
                enumerate(["blade 7", "tower", "mainframe", "blade 8"])]
    for machine in machines[:3]:
        machine.lease()
        machine.tell()

    def reasons() -> dict[str, str | None]:
        return {one["mac"]: one["reason"] for one in pending(daemon)}

    wait_until(lambda: MACS[1] not in reasons() and all(reasons().values()), "the rules to be tried", 60)
    assert reasons()[MACS[0]].startswith("[adopt rack]: there is no image 'golden'")
    assert reasons()[MACS[2]] == "no [adopt] section is for it"
    daemon.wait_line("was adopted by [adopt rest]")
    assert daemon.get("/v1/nodes/t-s1").json["macs"] == [MACS[1]]
    assert "t-s1 now" in machines[1].tell()
    daemon.wait_line(f"{MACS[2]} waits to be adopted: no [adopt] section is for it")
    # what was in the way is done; a reload tries again at once
    daemon.ok("image", "import", make_image(tmp_path / "golden.raw"), "--name", "golden")
    daemon.ok("group", "add", "rack1")
    daemon.write_config(REGISTER + RULES + "[adopt last]\nname = x-%{mac}\n")
    daemon.reload()
    for machine in machines:
        if machine.address == "":
            machine.lease()
        machine.tell()
    wait_until(lambda: not pending(daemon), "all to be adopted", 60)
    racks = {name: daemon.get(f"/v1/nodes/{name}").json for name in ("rack-01", "rack-02")}
    assert {node["macs"][0] for node in racks.values()} == {MACS[0], MACS[3]}
    assert all(node["image"] == "golden@1" and node["group"] == "rack1" for node in racks.values())
    assert daemon.get("/v1/nodes/x-5254004e0003").json["macs"] == [MACS[2]]


def test_the_port_of_a_relay_chooses(lab):
    daemon = lab.daemon(SUBNET + FAR + "unknown = register\n[adopt port]\nsubnet = far\ncircuit-id = Eth1/*\n"
                        "remote-id = 0x00ff\nname = %{remote}-%{circuit}\n")
    lab.server.run("ip", "route", "add", "10.9.0.0/24", "dev", "br0")
    machine = Machine(lab, MACS[0])
    machine.namespace.run("ip", "addr", "add", "10.9.0.2/24", "dev", "eth0")
    machine.namespace.run("ip", "route", "add", "10.0.0.0/24", "dev", "eth0")
    client = Client(machine.wire, MACS[0])
    client.extra = dict(IPXE)
    client.extra[82] = b"\x01\x06Eth1/7\x02\x02\x00\xff"

    def relayed(kind: int, **options: str):
        message = client.message(kind)
        message.giaddr = "10.9.0.2"
        for code, value in options.items():
            message.set(int(code[1:]), value)
        machine.wire.xid += 1
        message.xid = machine.wire.xid
        for code, value in client.extra.items():
            message.options.setdefault(code, value)
        machine.wire.send_udp(MACS[0], message.encode(), source="10.9.0.2", ports=(67, 67))
        for frame in machine.wire.frames(5):
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\0\x43":
                answer = type(message).decode(frame[42:])
                if answer.xid == message.xid:
                    return answer
        return None

    offer = relayed(1)
    ack = relayed(3, o50=offer.yiaddr, o54=SERVER)
    assert ack.kind == 5
    machine.use(ack.yiaddr)
    machine.namespace.run("ip", "route", "replace", "10.0.0.0/24", "dev", "eth0")
    machine.tell()
    wait_until(lambda: daemon.get("/v1/nodes/0x00ff-eth1-7").status == 200, "it to be adopted", 60)
    assert "is 0x00ff-eth1-7 now" not in machine.get() and "0x00ff-eth1-7 now" in machine.tell()


@pytest.mark.parametrize("section, says", [
    ("[adopt a]\nname = web1\n", "names all machines alike"),
    ("[adopt a]\nname = web_%{number}\n", "makes no host names"),
    ("[adopt a]\nname = %{mac}\n", "makes no host names"),
    ("[adopt a]\nname = x-%{mac}\nmac-prefix = 52:5\n", "must be the beginning of a MAC"),
    ("[adopt a]\nproduct = x\n", "[adopt a] name: is not set"),
    ("[adopt a]\nname = x-%{mac}\nname = y-%{mac}\n", "is set twice"),
    ("[adopt a]\ncolour = red\n", "no such key"),
    ("[adopt A]\nname = x-%{mac}\n", "a rule's name has lower case"),
    ("[adopt a]\nname = x-%{mac}\nimage = a@b\n", "must be an image such as"),
    ("[subnet lab]\nunknown = maybe\n", "must be local, ignore or register"),
])
def test_a_configuration_that_makes_no_sense(tmp_path, section, says):
    file = tmp_path / "nodisk.conf"
    file.write_text(section)
    done = subprocess.run([NODISK, "serve", "--check", "--config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and says in done.stderr
