"""What is there twice is told, once each, in the log and by `nodisk status`: with real clients."""

import json
import os
import shutil
from pathlib import Path

import pytest
from daemon import wait_until
from netlab import SUBNET, LabDaemon, Namespace

NODE = "52:54:00:00:00:01"
STRANGER = "52:54:00:00:00:63"
SERVER2 = "10.0.0.66"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not shutil.which("dhclient", path="/usr/sbin:/sbin:/usr/bin:/bin"),
                       reason="dhclient is not installed"),
]


def ask(client: Namespace, work: Path, *config: str) -> None:
    """dhclient gets a lease, and ends without a word."""
    work.mkdir(exist_ok=True)
    (work / "conf").write_text("\n".join(("timeout 50;", "initial-interval 1;", *config, "")))
    client.run("dhclient", "-1", "-cf", work / "conf", "-lf", work / "leases", "-pf", work / "pid",
               "-sf", "/bin/true", "eth0", timeout=120)
    client.run("dhclient", "-x", "-pf", work / "pid", "-sf", "/bin/true", "eth0", check=False)


def duplicates(daemon: LabDaemon) -> list[dict]:
    return json.loads(daemon.ok("status", "--json"))["duplicates"]


def test_one_mac_in_two_networks(lab, tmp_path):
    lab.server.add_bridge("10.1.0.1/24", name="br1")
    two = SUBNET.replace("10.0.0.", "10.1.0.").replace("lab", "two").replace("br0", "br1")
    daemon = lab.daemon(SUBNET + two)
    daemon.ok("node", "add", "web1", "--mac", NODE)
    first = lab.client(mac=NODE)
    second = lab.client(mac=NODE)
    lab.server.run("ip", "link", "set", f"c{lab.count}", "master", "br1")
    ask(first, tmp_path / "first")
    ask(second, tmp_path / "second")  # so far it may have been moved
    ask(first, tmp_path / "first")  # and back
    assert duplicates(daemon) == []
    assert "there twice" not in daemon.ok("status")
    for _ in range(2):
        ask(second, tmp_path / "second")
        ask(first, tmp_path / "first")
    [found] = duplicates(daemon)
    assert found["kind"] == "mac" and found["mac"] == NODE and found["node"] == "web1" and not found["hint"]
    assert found["count"] > 1 and found["since"] <= found["last_seen"]
    assert "interface br0" in found["message"] and "interface br1" in found["message"]
    assert f"there twice: {NODE} asks in turn from two places" in daemon.ok("status")
    daemon.wait_line(NODE, "asks in turn from two places")
    assert len(daemon.lines(NODE, "asks in turn from two places")) == 1


def test_a_stranger_with_a_nodes_name(lab, tmp_path):
    daemon = lab.daemon()
    daemon.ok("node", "add", "web1", "--mac", NODE)
    ask(lab.client(mac=NODE), tmp_path / "node", 'send host-name "web1";')
    stranger = lab.client(mac=STRANGER)
    ask(stranger, tmp_path / "other", 'send host-name "web2";')
    assert duplicates(daemon) == []
    for _ in range(2):
        ask(stranger, tmp_path / "stranger", 'send host-name "WEB1.lan.example";')
    [found] = duplicates(daemon)
    assert found["kind"] == "host_name" and found["mac"] == STRANGER
    assert found["node"] is None and found["other_node"] == "web1"
    assert f"there twice: {STRANGER}, which is none of the MACs of node 'web1'" in daemon.ok("status")
    daemon.wait_line(STRANGER, "asks by that host name")
    assert len(daemon.lines(STRANGER, "asks by that host name")) == 1


def test_one_uuid_of_two_nodes_is_a_hint(lab, tmp_path):
    daemon = lab.daemon()
    uuid = ("option uuid code 97 = string;", "send uuid 00:44:45:4c:4c:00:00:10:20:80:30:b4:c0:4f:00:00:01;")
    daemon.ok("node", "add", "web1", "--mac", NODE)
    daemon.ok("node", "add", "web2", "--mac", STRANGER)
    ask(lab.client(mac=NODE), tmp_path / "first", *uuid)
    assert duplicates(daemon) == []
    ask(lab.client(mac=STRANGER), tmp_path / "second", *uuid)
    [found] = duplicates(daemon)
    assert found["kind"] == "uuid" and found["hint"]
    assert {found["mac"], found["other_mac"]} == {NODE, STRANGER}
    assert {found["node"], found["other_node"]} == {"web1", "web2"}
    assert "4c4c4544-0000-2010-8030-b4c04f000001" in found["message"]
    assert "\na hint: " in daemon.ok("status")


@pytest.mark.skipif(not shutil.which("dnsmasq", path="/usr/sbin:/sbin:/usr/bin:/bin"),
                    reason="dnsmasq is not installed")
def test_a_second_dhcp_server(lab, tmp_path):
    daemon = lab.daemon()
    second = lab.client(f"{SERVER2}/24")
    dnsmasq = second.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--conf-file=/dev/null", "--no-ping",
                           "--dhcp-authoritative", "--dhcp-range=10.0.0.200,10.0.0.220",
                           f"--dhcp-leasefile={tmp_path}/dnsmasq.leases", f"--pid-file={tmp_path}/dnsmasq.pid")
    wait_until(lambda: "started" in dnsmasq.output(), "dnsmasq")
    ask(lab.client(mac=STRANGER), tmp_path / "client", "reject 10.0.0.1;")
    [found] = duplicates(daemon)
    assert found["kind"] == "dhcp_server" and found["address"] == SERVER2 and not found["hint"]
    assert found["since"] > 0
    assert f"there twice: another DHCP server, {SERVER2}, answers machines of [subnet lab]" in daemon.ok("status")
    daemon.wait_line(f"another DHCP server, {SERVER2}")
