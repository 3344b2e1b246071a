"""Disks elsewhere: LUNs of somebody else's target (tgt), which a node's script names and nobody here serves."""

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import BASE_IQN, make_image
from iscsilab import INITIATOR, MIB, SanDaemon, need, refusal
from lab.netns import Namespace
from lab.tgt import Tgt
from netlab import Client, NetLab, Wire
from test_http import curl, script_path

NODE, ADDRESS, INITIATOR_OF_NODE = "52:54:00:10:00:01", "10.0.0.11", f"{BASE_IQN}:web1"
NAS = "10.0.0.9"
TARGET = "iqn.2005-10.org.example.nas:Disks.web1"
URI = f"iscsi://{NAS}/{TARGET}/1"
CHAP, MUTUAL = ("-web|1", "${net0/mac}||#;&&'\"\\"), ("nas", "staple-of-the-target")
TARGET_NOT_FOUND = 0x0203
SIZE = 8 * MIB


def secret_file(work: Path, name: str, secret: str) -> Path:
    path = work / name
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return path


# --- the command line and the API ---


@pytest.fixture
def san(tmp_path):
    with SanDaemon(tmp_path / "d") as d:
        yield d


def test_it_is_shown_with_what_is_known_of_it(san):
    assert TARGET in san.ok("volume", "create", "there", "--iscsi", f"iscsi://{NAS}:3260/{TARGET}/0x1")
    san.ok("node", "add", "web1", "--mac", NODE, "--volume", "there")
    san.kill()
    san.start()
    row = next(line for line in san.ok("volume", "list").splitlines() if line.startswith("there"))
    assert row.split() == ["there", "ready", "iscsi", "-", "-", "-", "web1"]
    shown = san.ok("volume", "show", "there")
    for field, value in {"iscsi": URI, "target": TARGET, "portal": f"{NAS}:3260", "lun": "1", "size": "-",
                         "nodes": "web1", "chap": "none"}.items():
        assert re.search(rf"^{field}: +{re.escape(value)}$", shown, re.MULTILINE), field
    assert URI in san.ok("node", "show", "web1")
    volume = san.get("/v1/volumes/there").json
    assert (volume["kind"], volume["path"], volume["target"]) == ("iscsi", URI, TARGET)
    assert volume["elsewhere"] == {"portal": f"{NAS}:3260", "lun": 1}
    assert [volume[key] for key in ("size", "used", "block_size", "serial")] == [None] * 4
    assert san.get("/v1/nodes/web1").json["elsewhere"] == URI
    assert "is the disk of node 'web1'" in san.refused("volume", "remove", "there")
    san.ok("node", "remove", "web1", "--with-volume")
    assert san.get("/v1/volumes").json["volumes"] == []


def test_what_makes_no_sense_for_it_is_refused(san):
    san.ok("volume", "create", "there", "--iscsi", URI)
    san.ok("volume", "create", "here", "--size", "1M")
    san.ok("node", "add", "web1", "--mac", NODE, "--volume", "there")
    for words, said in {
        ("create", "x", "--iscsi", URI): "is already volume 'there'",
        ("create", "x", "--iscsi", f"iscsi://alice%geheim@{NAS}/{TARGET}/2"): "--chap-secret-file",
        ("create", "x", "--iscsi", f"iscsi://{NAS}/{TARGET}"): "a host, a target and a LUN",
        ("create", "x", "--iscsi", f"iscsi://{NAS}/disk_1/0"): "only letters, digits",
        ("create", "x", "--iscsi", f"iscsi://{NAS}/disk1/0"): "the target of an iSCSI URI",
        ("create", "x", "--iscsi", f"iscsi://127.0.0.1/{TARGET}/0"): "that nodes can reach",
        **{("create", "x", "--iscsi", f"iscsi://{NAS}/{TARGET}/2", *more): "served here" for more in (
            ("--read-only",), ("--thick",), ("--removable",), ("--block-size", "4096"), ("--allow", "any"),
            ("--allow", INITIATOR))},
        ("create", "x", "--iscsi", f"iscsi://{NAS}/{TARGET}/2", "--ephemeral"): "only an overlay",
        ("snapshot", "there", "s1"): "is no overlay",
        ("reset", "there"): "is no overlay",
        ("commit", "there", "golden"): "which this server does not read",
        ("export", "there", san.work / "x.raw"): "which this server does not read",
        ("set", "there", "--size", "1G"): "nodisk cannot make that larger",
        ("set", "there", "--ephemeral", "yes"): "is no overlay",
        ("attach", "there", "web1"): "cannot attach",
        ("attach", "here", "web1"): "sees no data volumes of this server",
    }.items():
        answer = san.refused("volume", *words)
        assert said in answer and "geheim" not in answer, words
    assert "exactly one of" in san.usage("volume", "create", "x", "--iscsi", URI, "--size", "1G")
    assert "--chap none" in san.refused("node", "set", "web1", "--chap", "mutual")
    assert [v["name"] for v in san.get("/v1/volumes").json["volumes"]] == ["here", "there"]
    assert not san.lines("geheim")


def test_nobody_logs_in_here(san):
    san.ok("volume", "create", "there", "--iscsi", URI)
    san.ok("node", "add", "web1", "--mac", NODE, "--volume", "there")
    for initiator in (INITIATOR_OF_NODE, INITIATOR):
        assert refusal(san.portal, f"{BASE_IQN}:there", initiator=initiator) == TARGET_NOT_FOUND
        assert refusal(san.portal, TARGET, initiator=initiator) == TARGET_NOT_FOUND
    assert san.lines("refused: this volume is a LUN of a target elsewhere")


# --- a node, and tgt on another machine ---


@dataclass
class Site:
    """The daemon, the machine of the node, and the target's."""

    lab: NetLab
    daemon: object
    machine: Namespace
    wire: Wire
    tgt: Tgt

    def firmware(self) -> None:
        """As iPXE asks DHCP."""
        client = Client(self.wire, NODE)
        client.extra[77] = b"iPXE"
        assert client.lease() == ADDRESS

    def script(self) -> str:
        status, text = curl(self.machine, script_path(NODE), "-A", "iPXE/1.21.1+")
        assert status == 200 and text.startswith("#!ipxe\n")
        return text

    def boot(self) -> dict:
        (node,) = self.daemon.get("/v1/status").json["nodes"]
        return node["boot"]


@pytest.fixture
def site(tmp_path):
    need("tgtd", "tgtadm", "iscsi-ls", "iscsi-inq", "qemu-img")
    with contextlib.ExitStack() as stack:
        lab = NetLab(tmp_path)
        stack.callback(lab.close)
        tgt = Tgt(lab.client(f"{NAS}/24"), tmp_path / "tgt", f"{NAS}:3260")
        stack.callback(tgt.stop)
        machine = lab.client(f"{ADDRESS}/24")
        wire = Wire(machine)
        stack.callback(wire.close)
        yield Site(lab, lab.daemon(), machine, wire, tgt.start())


def setting(script: str, name: str) -> str | None:
    """What a line of the script sets this setting of iPXE to; None: it is cleared."""
    found = re.search(rf"^(?:set {name}(:hexraw)? (\S+)|clear {name} \|\|)$", script, re.MULTILINE)
    assert found, (name, script)
    return bytes.fromhex(found[2]).decode() if found[1] else found[2]


def url(script: str) -> str:
    """The LUN that the script boots, as libiscsi takes it, with the secrets of the script."""
    found = re.search(r"^sanboot iscsi:([^:]+)::(\d+):([0-9a-f]+):(\S+) \|\| goto failed$", script, re.MULTILINE)
    assert found, script
    host, port, lun, target = found.groups()
    return f"iscsi://{host}:{port}/{target}/{int(lun, 16)}"


def libiscsi_environment(script: str) -> list[str]:
    """Its secrets, where no character of them needs quoting."""
    names = {"username": "LIBISCSI_CHAP_USERNAME", "password": "LIBISCSI_CHAP_PASSWORD",
             "reverse-username": "LIBISCSI_CHAP_TARGET_USERNAME", "reverse-password": "LIBISCSI_CHAP_TARGET_PASSWORD"}
    return [f"{variable}={value}" for name, variable in names.items() if (value := setting(script, name))]


def inquiry(site: Site, script: str, environment: list[str]) -> bool:
    done = site.machine.run("env", *environment, "iscsi-inq", "-i", setting(script, "initiator-iqn"), url(script),
                            check=False)
    return "Peripheral Qualifier" in done.stdout


def test_the_script_finds_the_disk(site, tmp_path):
    """What the script says is enough for libiscsi and QEMU to have the disk, by the node's own name."""
    disk = make_image(tmp_path / "disk.raw", SIZE)
    site.tgt.add(TARGET, disk, initiator=INITIATOR_OF_NODE)
    site.daemon.ok("volume", "create", "there", "--iscsi", URI)
    site.daemon.ok("node", "add", "web1", "--mac", NODE, "--address", ADDRESS, "--volume", "there")
    site.firmware()
    script = site.script()
    assert f"sanboot iscsi:{NAS}::3260:1:{TARGET} || goto failed\n" in script
    assert setting(script, "username") is None and setting(script, "password") is None
    assert url(script) == f"iscsi://{NAS}:3260/{TARGET}/1"
    assert TARGET in site.machine.run("iscsi-ls", "-i", INITIATOR_OF_NODE, f"iscsi://{NAS}").stdout
    assert inquiry(site, script, [])
    options = {"driver": "raw", "file.driver": "iscsi", "file.transport": "tcp", "file.portal": f"{NAS}:3260",
               "file.target": TARGET, "file.lun": 1, "file.initiator-name": setting(script, "initiator-iqn")}
    words = ",".join(f"{key}={value}" for key, value in options.items())
    info = site.machine.run("qemu-img", "info", "--output=json", "--image-opts", words)
    assert json.loads(info.stdout)["virtual-size"] == SIZE
    site.machine.run("qemu-img", "convert", "--image-opts", words, "-O", "raw", tmp_path / "back.raw")
    assert (tmp_path / "back.raw").read_bytes() == disk.read_bytes()


def test_how_far_it_is(site):
    """Nothing is seen between the script and `up`; status says where the disk is."""
    site.daemon.ok("volume", "create", "there", "--iscsi", URI)
    site.daemon.ok("node", "add", "web1", "--mac", NODE, "--address", ADDRESS, "--volume", "there")
    site.firmware()
    site.script()
    boot = site.boot()
    assert (boot["stage"], boot["detail"]) == ("script", f"{ADDRESS}, disk at {NAS}:3260")
    assert curl(site.machine, f"/up?mac={NODE}", "-X", "POST")[0] == 200
    assert site.boot()["stage"] == "up"
    assert "up" in site.daemon.ok("status")
    site.firmware()
    assert site.boot()["stage"] == "address"  # it boots again


@pytest.mark.parametrize("mutual", [False, True])
def test_chap_that_is_asked_for_there(site, tmp_path, mutual):
    """Secrets of any characters get there whole, and only while the node boots, and nowhere else."""
    site.tgt.add(TARGET, make_image(tmp_path / "disk.raw", SIZE), chap=CHAP, mutual=MUTUAL if mutual else None)
    words = ["--chap-user", CHAP[0], "--chap-secret-file", secret_file(tmp_path, "secret", CHAP[1])]
    if mutual:
        words += ["--chap-target-user", MUTUAL[0], "--chap-target-secret-file",
                  secret_file(tmp_path, "target-secret", MUTUAL[1])]
    site.daemon.ok("volume", "create", "there", "--iscsi", URI, *words)
    site.daemon.ok("node", "add", "web1", "--mac", NODE, "--address", ADDRESS, "--volume", "there")
    Client(site.wire, NODE).lease()
    assert "password" not in site.script()  # an operating system asked DHCP, not firmware
    site.firmware()
    script = site.script()
    assert (setting(script, "username"), setting(script, "password")) == CHAP
    assert (setting(script, "reverse-username"), setting(script, "reverse-password")) == (
        MUTUAL if mutual else (None, None))
    assert inquiry(site, script, libiscsi_environment(script))
    assert not inquiry(site, script, [])
    assert site.script() == script  # it asks again while its target is away
    assert curl(site.machine, f"/up?mac={NODE}", "-X", "POST")[0] == 200
    assert "password" not in site.script()
    site.daemon.settle()
    said = site.daemon.output() + script.replace(CHAP[1].encode().hex(), "")
    for path in ("/v1/volumes", "/v1/volumes/there", "/v1/nodes/web1", "/v1/status"):
        said += json.dumps(site.daemon.get(path).json)
    said += site.daemon.ok("volume", "show", "there")
    assert CHAP[1] not in said and json.dumps(CHAP[1])[1:-1] not in said and CHAP[1].encode().hex() not in said
    assert ("mutual" if mutual else "one-way") in site.daemon.ok("volume", "show", "there")
    site.daemon.ok("volume", "set", "there", "--chap", "none")
    site.firmware()
    assert setting(site.script(), "password") is None


def test_a_restart_ends_the_time_for_secrets(site, tmp_path):
    """Nobody knows any more since when the node has had its script: it asks DHCP again first."""
    site.daemon.ok("volume", "create", "there", "--iscsi", URI, "--chap-user", "web1", "--chap-secret-file",
                   secret_file(tmp_path, "secret", "correct-horse"))
    site.daemon.ok("node", "add", "web1", "--mac", NODE, "--address", ADDRESS, "--volume", "there")
    site.firmware()
    assert setting(site.script(), "password") == "correct-horse"
    site.daemon.kill()
    site.daemon.start()
    late = site.script()
    assert "password" not in late and "\ndhcp || goto again\n" in late
    site.firmware()
    assert setting(site.script(), "password") == "correct-horse"
