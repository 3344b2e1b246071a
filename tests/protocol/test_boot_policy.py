"""What machines boot, as the operator says it: `nodisk boot`, `nodisk entry`, and what a node then
gets from /boot.ipxe, asked for as iPXE does."""

import random
import re
import subprocess
import time

import pytest
from daemon import wait_until
from netlab import SERVER, SUBNET, Client
from policylab import ADDRESS, MAC, NODE, Machine, daemon, machine  # noqa: F401

DISK, LOCAL = "boots volume disk1", "web1 boots its own disk"


def test_the_nearest_rule_decides_and_is_named(daemon, machine):
    assert DISK in machine.boot()
    daemon.ok("boot", "--default", "local")
    assert LOCAL in machine.boot()
    daemon.ok("boot", "lab", "shell")
    assert "\nshell ||\n" in machine.boot()
    daemon.ok("boot", "web1", "volume")
    assert DISK in machine.boot()
    daemon.ok("boot", "web1", "off", "--until", "1h")
    assert "web1 is to be off" in machine.boot()
    told = daemon.ok("boot", "web1", "--explain")
    assert re.search(r"boots next: +off, by the rule: node, temporary\n", told)
    verdicts = re.findall(r"^(decides|overruled) +(.*?)  +(\S+)", told, re.MULTILINE)
    assert verdicts == [("decides", "node, temporary", "off"), ("overruled", "node", "volume"),
                        ("overruled", "group", "shell"), ("overruled", "default", "local"),
                        ("overruled", "disk", "volume")]
    assert "boots next: off" in re.sub(" +", " ", daemon.ok("node", "show", "web1"))
    assert daemon.ok("boot").count("standing") == 3
    for words in (("web1", "--clear"), ("lab", "--clear"), ("--default", "--clear")):
        daemon.ok("boot", *words)
    assert DISK in machine.boot() and "no rules" in daemon.ok("boot")


def test_once_is_one_boot_however_often_it_asks(daemon, machine):
    machine.boot()
    daemon.ok("boot", "web1", "local", "--once")
    assert LOCAL in machine.boot()
    for _ in range(3):
        assert LOCAL in machine.script()
    assert "boots local, as was asked for at this boot" in daemon.output()
    daemon.kill()
    daemon.start()
    assert LOCAL in machine.script()
    assert DISK in machine.boot()
    daemon.ok("boot", "lab", "local", "--times", "2")
    assert [LOCAL in machine.boot() for _ in range(3)] == [True, True, False]


def test_firmware_that_comes_by_again_on_its_way_to_the_disk(daemon, machine):
    """UEFI's boot order: PXE, from which iPXE leaves; HTTP Boot, whose iPXE asks like any other; then the disk."""
    for rule, first in (("local", LOCAL), ("menu", "menu nodisk")):
        daemon.ok("boot", "web1", rule, "--once")
        machine.firmware("PXEClient:Arch:00007:UNDI:003000", 7)
        assert first in machine.boot()
        assert LOCAL in machine.script("&entry=local")
        machine.firmware("HTTPClient:Arch:00016:UNDI:003000", 16)
        assert LOCAL in machine.boot()
        machine.firmware("PXEClient:Arch:00007:UNDI:003000", 7)  # somebody has switched it on again
        assert DISK in machine.boot()
    daemon.ok("boot", "web1", "menu")
    machine.firmware("PXEClient:Arch:00007:UNDI:003000", 7)
    machine.boot()
    assert LOCAL in machine.script("&entry=local")
    daemon.ok("boot", "web1", "shell")  # a rule that is made meanwhile decides
    machine.firmware("HTTPClient:Arch:00016:UNDI:003000", 16)
    assert "\nshell ||\n" in machine.boot()


def test_somebody_who_only_looks_takes_no_boot(daemon, machine):
    daemon.ok("boot", "web1", "local", "--once")
    done = machine.namespace.run("curl", "-sS", f"http://{SERVER}/boot.ipxe?mac={MAC}")
    assert LOCAL in done.stdout
    assert LOCAL in machine.boot()


def test_a_daemon_that_is_killed_neither_loses_nor_doubles_a_boot(daemon, machine):
    """At a random moment around the request; the machine asks until it is answered."""
    for _ in range(12):
        daemon.ok("boot", "web1", "local", "--once")
        machine.power_on()
        pause = random.random() * 0.02
        request = subprocess.Popen(machine.namespace.command(
            "curl", "-s", "-o", "/dev/null", "-A", "iPXE/1.0.0+", f"http://{SERVER}/boot.ipxe?mac={MAC}"))
        time.sleep(pause)
        daemon.kill()
        request.wait()
        daemon.start()
        assert LOCAL in machine.script()
        assert DISK in machine.boot()


def test_a_menu_asks_for_what_is_chosen(daemon, machine):
    iqn = "iqn.2026-11.lan.example:web1"
    assert daemon.post("/v1/volumes", name="older", size=1 << 20, allow=[iqn]).result
    assert daemon.post("/v1/volumes", name="secret", size=1 << 20).result
    daemon.ok("boot", "web1", "menu")
    menu = machine.boot()
    assert "menu nodisk: what is web1 to boot?" in menu and "item volume:older " in menu
    assert "secret" not in menu
    assert "boots volume older" in machine.script("&entry=volume:older")
    assert "&failed=volume:older" in machine.script("&entry=volume:older")
    assert "did not boot: volume:older" in machine.script("&failed=volume:older")
    for wrong in ("volume:secret", "volume:nothing", "%24%7Bx%7D%0Aexit", "menu"):
        assert "menu nodisk" in machine.script(f"&entry={wrong}")
        assert "${x}" not in machine.script(f"&failed={wrong}")
    daemon.ok("boot", "web1", "off")  # reaches who waits in the menu with what it asks next
    assert "web1 is to be off" in machine.script("&entry=volume:older")


def test_an_entry_is_fetched_by_nodes_alone(daemon, machine, tmp_path):
    for name in ("kernel", "initrd", "own.ipxe"):
        (tmp_path / name).write_text(f"#!ipxe\n# the {name}\n")
    daemon.ok("entry", "add", "rescue", "--kernel", tmp_path / "kernel", "--initrd", tmp_path / "initrd",
              "--args", "quiet console=ttyS0", "--title", "Rescue system")
    daemon.ok("entry", "add", "own", "--script", tmp_path / "own.ipxe")
    daemon.ok("boot", "web1", "rescue")
    text = machine.boot()
    assert f"http://{SERVER}/entry/rescue/kernel?mac={MAC} quiet console=ttyS0 initrd=initrd0 ||" in text
    assert machine.get(f"/entry/rescue/kernel?mac={MAC}") == (200, "#!ipxe\n# the kernel\n")
    assert machine.get(f"/entry/rescue/initrd0?mac={MAC}") == (200, "#!ipxe\n# the initrd\n")
    assert machine.get(f"/entry/own/script?mac={MAC}") == (200, "#!ipxe\n# the own.ipxe\n")
    for path in ("/entry/rescue/initrd1", "/entry/rescue/script", "/entry/own/kernel", "/entry/x/kernel",
                 "/entry/../kernel", "/entry/rescue", "/memtest.bin.x"):
        assert machine.get(f"{path}?mac={MAC}")[0] == 404, path
    assert machine.get("/entry/rescue/kernel?mac=52-54-00-10-00-99")[0] == 403
    assert "rescue" in daemon.ok("entry", "list") and "Rescue system" in daemon.ok("entry", "show", "rescue")
    assert "is what a rule has booted" in daemon.refused("entry", "remove", "rescue")
    daemon.ok("boot", "web1", "--clear")
    daemon.ok("entry", "remove", "rescue")


def test_what_makes_no_sense_is_refused_with_what_to_do(daemon):
    assert "nothing to boot called 'windows'" in daemon.refused("boot", "web1", "windows")
    assert "there is no node 'web9'" in daemon.refused("boot", "web9", "local")
    assert daemon.post("/v1/volumes", name="secret", size=1 << 20).result
    assert "none that web1 may use" in daemon.refused("boot", "web1", "secret")
    assert "times" in daemon.usage("boot", "web1", "local", "--times", "0")
    assert "until" in daemon.usage("boot", "web1", "local", "--until", "yesterday")
    assert "--once" in daemon.usage("boot", "web1", "local", "--once", "--times", "2")
    assert "say whose" in daemon.usage("boot", "--clear")
    assert "'local' means something else" in daemon.refused("entry", "add", "local", "--kernel", "/bin/true")
    assert "cannot read" in daemon.refused("entry", "add", "x", "--kernel", "/nowhere")
    assert "either 'kernel' or 'script'" in daemon.refused("entry", "add", "x")


def test_a_rule_ends_by_itself(daemon, machine):
    machine.power_on()
    daemon.ok("boot", "web1", "local", "--until", "1s")
    wait_until(lambda: DISK in machine.script(), "the rule to end")
    assert "over" in daemon.ok("boot", "web1", "--explain")


def hexed(text: str) -> str:
    return text.encode().hex()


FACTS = (f"&told=1&uuid=&manufacturer=&product={hexed('Box 7')}&serial={hexed('S1')}"
         "&arch=x86_64&firmware=efi&memory=---")


def test_a_rule_of_the_configuration_asks_the_node_what_it_is(lab):
    rules = """
[rule others]
group = other
boot = off

[rule gone]
group = lab
boot = gone

[rule boxes]
group = lab
network = 10.0.0.0/24
product = box*
firmware = uefi
boot = shell

[rule rest]
group = l?b
hours = 00:00-24:00
boot = local
"""
    daemon = lab.daemon(SUBNET + rules)
    assert daemon.post("/v1/groups", name="lab").result
    assert daemon.post("/v1/volumes", name="disk1", size=1 << 20).result
    assert daemon.post("/v1/nodes", name="web1", macs=[NODE], address=ADDRESS, volume="disk1", group="lab").result
    machine = Machine(lab)
    told = daemon.ok("boot", "web1", "--explain")
    assert re.search(r"^not told +rule boxes +shell", told, re.MULTILINE), told
    assert re.search(r"^impossible +rule gone +entry:gone", told, re.MULTILINE), told
    assert re.search(r"boots next: +local, by the rule: rule rest\n", told), told
    script = machine.boot()
    assert "&told=1&uuid=${uuid}" in script and "shell" not in script and "boots its own disk" not in script
    assert "\nshell ||\n" in machine.script(FACTS)
    assert "\nshell ||\n" in machine.script()  # in this boot it is known now
    told = daemon.ok("boot", "web1", "--explain")
    assert re.search(r"boots next: +shell, by the rule: rule boxes\n", told), told
    # the node's own rule is nearer, and nobody needs to know what it is
    daemon.ok("boot", "web1", "volume")
    assert DISK in machine.boot()
    daemon.ok("boot", "web1", "--clear")
    # in the next boot it is asked again, and may be another machine
    assert "&told=1&uuid=${uuid}" in machine.boot()
    assert LOCAL in machine.script(FACTS.replace(hexed("Box 7"), hexed("Crate")))
    # one that can say nothing is not asked for ever
    assert "&told=1&uuid=${uuid}" in machine.boot()
    assert LOCAL in machine.script("&told=1")
    # somebody who only looks takes no place
    status, _ = machine.get(f"/boot.ipxe?mac={MAC}")
    assert status == 200
    machine.wire.close()
    # a file with a mistake changes nothing; one without rules does
    daemon.write_config(SUBNET + rules + "[rule bad]\nhours = 7-8\n")
    daemon.reload()
    log = daemon.output()
    assert "[rule bad] hours: '7-8' must be a time of the day" in log
    assert "[rule bad] boot: is not set" in log
    assert "by the rule: rule rest" in daemon.ok("boot", "web1", "--explain")
    daemon.write_config(SUBNET)
    daemon.reload()
    assert "by the rule: disk" in daemon.ok("boot", "web1", "--explain")


def test_a_fallback_has_its_own_number_of_failures(daemon):
    daemon.ok("boot", "lab", "menu", "--fallback", "--after", "1")
    daemon.ok("boot", "web1", "local", "--fallback", "--after", "5")
    told = daemon.ok("boot", "web1", "--explain")
    assert re.search(r"^not yet +node, fallback +local +after 5 failed boots", told, re.MULTILINE), told
    assert re.search(r"^not yet +group, fallback +menu +after 1 failed boot ", told, re.MULTILINE), told
    daemon.stop()
    daemon.start()
    assert "after 5 failed boots" in daemon.ok("boot")
    assert "--after goes with --fallback" in daemon.usage("boot", "web1", "local", "--after", "2")
    assert "1 to 20" in daemon.usage("boot", "web1", "local", "--fallback", "--after", "21")
    assert daemon.post("/v1/boot-rules", name="web1", entry="local", after=2).status == 400
    assert daemon.post("/v1/boot-rules", name="web1", entry="local", slot="fallback", after=0).status == 400
    daemon.ok("boot", "web1", "local", "--fallback")
    assert "after 5 failed boots" not in daemon.ok("boot", "web1", "--explain")


def test_a_node_can_say_nothing_for_another(lab):
    """web2, from its own address, asks and tells with the MAC of web1: it learns and changes nothing."""
    rules = "[rule boxes]\nproduct = box*\nboot = shell\n"
    daemon = lab.daemon(SUBNET + rules)
    for number, name in ((1, "web1"), (2, "web2")):
        assert daemon.post("/v1/volumes", name=f"disk{number}", size=1 << 20).result
        assert daemon.post("/v1/nodes", name=name, macs=[NODE[:-1] + str(number)], address=ADDRESS[:-1] + str(number),
                           volume=f"disk{number}").result
    first, other = Machine(lab), Machine(lab)
    first.power_on()
    other.namespace.run("ip", "addr", "flush", "dev", "eth0")
    other.namespace.run("ip", "addr", "add", f"{ADDRESS[:-1]}2/24", "dev", "eth0")
    client = Client(other.wire, NODE[:-1] + "2")
    client.extra[77] = b"iPXE"
    assert client.lease() == ADDRESS[:-1] + "2"
    daemon.ok("boot", "web1", "off", "--once")
    before = daemon.ok("boot", "web1", "--explain")
    for query in ("", FACTS, "&told=1", "&entry=shell", "&failed=volume"):
        script = other.script(query)
        assert "does not ask from the address" in script
        assert "disk1" not in script and "is to be off" not in script and "told=1" not in script
    for path in ("direct.ipxe", "direct/kernel", "direct/initrd"):
        status, text = other.get(f"/{path}?mac={MAC}")
        assert status in (403, 404) and "disk1" not in text
    done = other.namespace.run("curl", "-sS", "-X", "POST", "-w", "%{http_code}", f"http://{SERVER}/up?mac={MAC}")
    assert done.stdout.endswith("403")
    assert daemon.ok("boot", "web1", "--explain") == before  # nothing taken, nothing told
    assert "stage: up" not in re.sub(" +", " ", daemon.ok("node", "show", "web1"))
    assert "is to be off" in first.script()
    for machine in (first, other):
        machine.wire.close()
