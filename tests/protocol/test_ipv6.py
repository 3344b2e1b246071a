"""Machines that reach the server over IPv6, by its address and by its link-local one."""

import os
import shutil
from pathlib import Path

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import MIB
from lab.iscsi import INITIATOR, Session, discover
from netlab import SERVER, SUBNET, LabDaemon, inside

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

SERVER6 = "2001:db8:1::1"
LINK_LOCAL = "fe80::1"
EVERYWHERE = {name: f"0.0.0.0:{port} [::]:{port}" for name, port in
              {"http": 80, "tftp": 69, "iscsi": 3260}.items()}


def need(program: str) -> None:
    if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
        pytest.skip(f"{program} is not installed")


@pytest.fixture
def loaders(tmp_path) -> Path:
    directory = tmp_path / "loaders"
    directory.mkdir()
    for name in ("undionly.kpxe", "snponly.efi"):
        (directory / name).write_bytes(os.urandom(74213))
    return directory


@pytest.fixture
def lab6(lab):
    """The server and its machines have IPv6 addresses, too, which can be used at once."""
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    lab.server.run("ip", "addr", "add", "fd00:2::1/64", "dev", "br0", "nodad")
    return lab


@pytest.fixture
def daemon(lab6, loaders):
    return lab6.daemon(SUBNET, loaders=str(loaders), **EVERYWHERE)


@pytest.fixture
def client(lab6, daemon):
    machine = lab6.client("10.0.0.50/24", "2001:db8:1::50/64", "fd00:2::50/64", "fe80::50/64")
    return machine


def disk(daemon, **body: object) -> str:
    """A volume; its target."""
    answer = daemon.post("/v1/volumes", name="disk", size=MIB, allow=[INITIATOR], **body)
    assert answer.status == 200, answer.lines
    return f"{BASE_IQN}:disk"


ADDRESSES = [SERVER, f"[{SERVER6}]", f"[{LINK_LOCAL}%25eth0]"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_curl_fetches_a_loader(client, loaders, tmp_path, host):
    need("curl")
    for url in (f"http://{host}/loaders/snponly.efi", f"tftp://{host}//snponly.efi"):
        client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", url)
        assert (tmp_path / "got").read_bytes() == (loaders / "snponly.efi").read_bytes()


@pytest.mark.parametrize("host", [SERVER, SERVER6, f"{LINK_LOCAL}%eth0"])
def test_tftp_hpa(client, daemon, loaders, tmp_path, host):
    need("tftp")
    client.run("tftp", "-m", "binary", host, "-c", "get", "undionly.kpxe", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == (loaders / "undionly.kpxe").read_bytes()
    client.run("tftp", "-m", "binary", host, "-c", "get", "nothing", tmp_path / "got", check=False)
    peer = {SERVER: "10.0.0.50", SERVER6: "2001:db8:1::50"}.get(host, "fe80::50%br0")
    told = f"tftp: {peer}: asked for 'nothing': no such file"
    wait_until(lambda: told in daemon.output(), told)


@pytest.mark.parametrize("host", [SERVER6, f"{LINK_LOCAL}%eth0"])
def test_atftp(client, loaders, tmp_path, host):
    need("atftp")
    for options in ([], ["--option", "blksize 1428", "--option", "windowsize 4"]):
        client.run("atftp", *options, "-g", "-r", "undionly.kpxe", "-l", tmp_path / "got", host)
        assert (tmp_path / "got").read_bytes() == (loaders / "undionly.kpxe").read_bytes()


def test_libiscsi(client, daemon, tmp_path):
    need("iscsi-ls")
    target = disk(daemon, allow_any=True)
    for host in (SERVER, f"[{SERVER6}]"):
        assert f"Target:{target} Portal:{host}:3260,1" in client.run("iscsi-ls", f"iscsi://{host}:3260").stdout
        url = f"iscsi://{host}:3260/{target}/0"
        assert "RETURNED LOGICAL BLOCK ADDRESS:2047" in client.run("iscsi-readcapacity16", url).stdout.upper()
    told = "from 2001:db8:1::50"
    wait_until(lambda: told in daemon.output(), told)


def test_qemu(client, daemon, tmp_path):
    need("qemu-img")
    target = disk(daemon, allow_any=True)
    (tmp_path / "data").write_bytes(data := os.urandom(MIB))
    url = f"iscsi://[{SERVER6}]:3260/{target}/0"
    client.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", tmp_path / "data", url)
    client.run("qemu-img", "convert", "-f", "raw", "-O", "raw", url, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_each_initiator_is_told_the_portals_that_it_can_reach(client, daemon):
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    with inside(client):
        assert discover((SERVER, 3260)) == {target: [f"{SERVER}:3260,1"]}
        assert discover((SERVER6, 3260)) == {target: [f"[{SERVER6}]:3260,1"]}
        assert discover((LINK_LOCAL, 3260, 0, scope)) == {target: [f"[{LINK_LOCAL}]:3260,1"]}


def test_portals_of_their_own(lab6, loaders):
    """Two global ones, one of a link, one of IPv4."""
    daemon = lab6.daemon(SUBNET, loaders=str(loaders), iscsi=(
        f"{SERVER}:3260 [{SERVER6}]:3260 [fd00:2::1]:3261 [{LINK_LOCAL}%br0]:3262 [::1]:3260"))
    client = lab6.client("10.0.0.50/24", "2001:db8:1::50/64", "fd00:2::50/64", "fe80::50/64")
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    with inside(client):
        assert discover((SERVER, 3260)) == {target: [f"{SERVER}:3260,1"]}
        assert discover((SERVER6, 3260)) == {target: [f"[{SERVER6}]:3260,1", "[fd00:2::1]:3261,1"]}
        assert discover((LINK_LOCAL, 3262, 0, scope)) == {target: [f"[{LINK_LOCAL}]:3262,1"]}


def test_sessions_are_shown_with_their_addresses(client, daemon):
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    for portal, source, shown in ((SERVER6, "[2001:db8:1::50]:", f"[{SERVER6}]:3260"),
                                  (LINK_LOCAL, "[fe80::50%br0]:", f"[{LINK_LOCAL}%br0]:3260"),
                                  (SERVER, "10.0.0.50:", f"{SERVER}:3260")):
        with inside(client):
            session = Session((portal, 3260, 0, scope) if ":" in portal else (portal, 3260), target)
        with session.login():
            one, = daemon.get("/v1/sessions").json["sessions"]
            detail = daemon.get(f"/v1/sessions/{one['id']}").json
            assert detail["source"].startswith(source) and detail["portal"] == shown
            assert source.rstrip(":") in daemon.ok("session", "list")
            session.logout()
        wait_until(lambda: not daemon.get("/v1/sessions").json["sessions"], "it to be gone")


def test_logins_are_sent_to_an_ipv6_portal(lab6, loaders):
    daemon = lab6.daemon(SUBNET, loaders=str(loaders), iscsi="[::]:3260\nredirect = disk=[fd00:2::1]:3260")
    client = lab6.client("2001:db8:1::50/64", "fd00:2::50/64")
    target = disk(daemon)
    with inside(client):
        session = Session((SERVER6, 3260), target)
    with session:
        session.send(session.login_pdu({**session.identity(), "AuthMethod": "None"}, 1))
        answer = session.receive()
        assert (answer.header[36], answer.header[37]) == (1, 1)
        assert answer.pairs == [("TargetAddress", "[fd00:2::1]:3260")]


@pytest.mark.parametrize("key, value, said", [
    ("http", "[fe80::1%nosuch0]:80", "names an interface behind the % that this server does not have"),
    ("tftp", "[fe80::1]:69", "must be ADDRESS:PORT, such as 0.0.0.0:3260, [::]:3260 or [fe80::1%eth1]:3260"),
    ("iscsi", "2001:db8::1:3260", "must be ADDRESS:PORT"),
    ("iscsi", "[::]:3260\nredirect = disk=[fe80::2%br0]:3260", "names a link-local address"),
])
def test_wrong_addresses_are_told(lab6, key, value, said):
    daemon = LabDaemon(lab6.work / "daemon", lab6.server, **{**EVERYWHERE, key: value})
    checked = lab6.server.run(daemon.program, "serve", "--check", "--config", daemon.config, check=False)
    assert checked.returncode == 1 and said in checked.stdout + checked.stderr


def test_new_listeners_need_a_restart(daemon, client, tmp_path):
    need("curl")
    daemon.keys["tftp"] = f"[{SERVER6}]:6969"
    daemon.write_config(SUBNET)
    daemon.reload()
    assert "new addresses need a restart" in daemon.output()
    client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", f"tftp://[{SERVER6}]//undionly.kpxe")
    daemon.stop()
    daemon.start()
    client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", f"tftp://[{SERVER6}]:6969//undionly.kpxe")


def test_an_address_that_the_server_lacks_is_told(lab6):
    daemon = LabDaemon(lab6.work / "daemon", lab6.server, **{**EVERYWHERE, "http": "[2001:db8:1::99]:80"})
    assert "http: this server has no address [2001:db8:1::99]:80" in daemon.fail_to_start()
