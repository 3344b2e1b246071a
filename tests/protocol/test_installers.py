"""Boot entries that install onto a node's own volume: what its iPXE and its installer fetch, asked for as they do,
and what becomes of the node when it says that it is installed."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from daemon import wait_until
from netlab import SERVER, SUBNET
from policylab import ADDRESS, MAC, NODE, Machine, daemon, machine  # noqa: F401

SHIPPED = Path(__file__).resolve().parents[2] / "data/installers"
INSTALL = f"/install/{MAC}/inst/"
DISK = "boots volume disk1"
INSTALLS = "web1 is installed by inst onto volume disk1"


def told(daemon, words: str) -> None:
    """In the log, whose lines come a moment later."""
    wait_until(lambda: words in daemon.output(), words)


@pytest.fixture
def add(daemon, tmp_path):
    """Adds the entry `inst` with answers in a format, from a text or a file."""
    for name in ("linux", "initrd.gz"):
        (tmp_path / name).write_text(f"the {name}\n")

    def add_it(form: str, answers, *more, name: str = "inst") -> None:
        if not isinstance(answers, Path):
            (tmp_path / "answers").write_text(answers)
            answers = tmp_path / "answers"
        daemon.ok("entry", "add", name, "--kernel", tmp_path / "linux", "--initrd", tmp_path / "initrd.gz",
                  f"--{form}", answers, *more)

    return add_it


def test_a_node_is_installed_once(daemon, machine, add):
    add("preseed", "d-i netcfg/get_hostname string {{node}}\nlate {{installed-url}}\n", "--title", "Debian 12",
        "--args", "console=ttyS0")
    assert "installer" in daemon.ok("entry", "list")
    daemon.ok("boot", "web1", "inst", "--once")
    assert "entry:inst" in daemon.ok("boot", "web1", "--explain")
    script = machine.boot()
    assert INSTALLS in script
    assert re.search(r"^sanhook --drive 0x80 iscsi:\S+:iqn\.2026-11\.lan\.example:disk1 ", script, re.MULTILINE)
    assert f"url=http://{SERVER}{INSTALL}preseed.cfg BOOTIF=01-{MAC} console=ttyS0 initrd=initrd0" in script
    assert machine.get(f"/entry/inst/kernel?mac={MAC}") == (200, "the linux\n")
    assert machine.get(f"/entry/inst/initrd0?mac={MAC}") == (200, "the initrd.gz\n")
    answers = f"d-i netcfg/get_hostname string web1\nlate http://{SERVER}{INSTALL}installed\n"
    assert machine.get(f"{INSTALL}preseed.cfg") == (200, answers)
    assert INSTALLS in machine.script()  # within that boot
    assert machine.get(f"{INSTALL}installed") == (200, "installed\n")
    told(daemon, "was installed by inst, and boots its volume from now on")
    assert machine.get(f"{INSTALL}preseed.cfg")[0] == 409  # an installed node needs no answers
    assert DISK in machine.boot()
    assert machine.get(f"{INSTALL}installed")[0] == 200
    assert DISK in machine.boot()


def test_an_installation_that_fails_does_not_begin_anew(daemon, machine, add):
    add("preseed", "x\n")
    daemon.ok("boot", "web1", "inst", "--once")
    assert INSTALLS in machine.boot()
    assert DISK in machine.boot()
    assert machine.get(f"{INSTALL}preseed.cfg")[0] == 409


@pytest.mark.parametrize("whose", ["web1", "lab", "--default"])
def test_a_rule_for_good_ends_with_the_installation(daemon, machine, add, whose):
    add("preseed", "x\n")
    daemon.ok("boot", whose, "inst")
    assert INSTALLS in machine.boot() and INSTALLS in machine.boot()
    done = machine.namespace.run("curl", "-sS", "-X", "POST", f"http://{SERVER}{INSTALL}installed")
    assert done.stdout == "installed\n"
    assert DISK in machine.boot()
    daemon.kill()
    daemon.start()
    assert DISK in machine.boot()


def test_answers_are_for_their_node_while_it_is_installed(daemon, machine, add, lab):
    add("preseed", "secret\n")
    daemon.ok("entry", "add", "live", "--kernel", "/bin/true")
    assert daemon.post("/v1/nodes", name="web2", macs=["52:54:00:10:00:02"], address="10.0.0.12").result
    machine.power_on()
    assert machine.get(f"{INSTALL}preseed.cfg")[0] == 409  # nobody has said so
    daemon.ok("boot", "lab", "inst")
    daemon.ok("boot", "web2", "inst")
    machine.boot()
    assert machine.get(f"{INSTALL}preseed.cfg") == (200, "secret\n")
    for path, status in (("/install/52-54-00-10-00-02/inst/preseed.cfg", 403),
                         ("/install/52-54-00-10-00-99/inst/preseed.cfg", 403),
                         ("/install/52-54-00-10-00-02/inst/installed", 403),
                         (f"/install/{MAC}/live/preseed.cfg", 404), (f"/install/{MAC}/x/preseed.cfg", 404),
                         (f"{INSTALL}user-data", 404), (f"{INSTALL}../../etc/passwd", 404), (INSTALL, 404),
                         ("/install/", 404), ("/install/x/inst/preseed.cfg", 404), (f"/install/{MAC}/inst", 404)):
        assert machine.get(path)[0] == status, path
    other = lab.client("10.0.0.77/24")
    status = other.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                       f"http://{SERVER}{INSTALL}preseed.cfg").stdout
    assert status == "403"
    assert INSTALLS in machine.boot()


def test_who_has_no_volume_is_not_installed(daemon, machine, add):
    add("preseed", "x\n")
    daemon.ok("node", "set", "web1", "--volume", "none")
    daemon.ok("boot", "web1", "inst")
    script = machine.boot()
    assert "has nothing to boot" in script and "/entry/" not in script


def test_a_menu_has_installers_of_its_own(daemon, machine, add):
    add("preseed", "x\n", "--title", "Debian 12")
    daemon.ok("boot", "web1", "menu")
    menu = machine.boot()
    assert "item --key i installers (i) Installers, onto its volume ..." in menu
    assert "item entry:inst Debian 12" in menu and ":entries" not in menu
    assert INSTALLS in machine.script("&entry=entry:inst")
    assert machine.get(f"{INSTALL}preseed.cfg") == (200, "x\n")
    assert machine.get(f"{INSTALL}installed")[0] == 200
    assert "menu nodisk" in machine.script()
    daemon.ok("node", "set", "web1", "--volume", "none")
    assert "Installers" not in machine.boot()


def test_a_checksum_that_does_not_fit_is_refused(daemon, machine, add, tmp_path):
    sums = {name: hashlib.sha256(f"the {name}\n".encode()).hexdigest() for name in ("linux", "initrd.gz")}
    words = ("entry", "add", "inst", "--kernel", tmp_path / "linux", "--initrd", tmp_path / "initrd.gz")
    said = daemon.refused(*words, "--kernel-sha256", sums["initrd.gz"])
    assert f"{tmp_path}/linux has the SHA-256 {sums['linux']}, and must have {sums['initrd.gz']}" in said
    assert "is no SHA-256" in daemon.refused(*words, "--kernel-sha256", "12ab")
    assert "a checksum for each initrd" in daemon.refused(*words, *(["--initrd-sha256", sums["initrd.gz"]] * 2))
    add("preseed", "x\n", "--kernel-sha256", sums["linux"], "--initrd-sha256", sums["initrd.gz"])
    assert sums["initrd.gz"] in daemon.ok("entry", "show", "inst")
    daemon.ok("boot", "web1", "inst")
    machine.boot()
    for _ in range(2):
        assert machine.get(f"/entry/inst/kernel?mac={MAC}") == (200, "the linux\n")
        assert machine.get(f"/entry/inst/initrd0?mac={MAC}") == (200, "the initrd.gz\n")
    (tmp_path / "initrd.gz").write_text("another one\n")
    assert machine.get(f"/entry/inst/kernel?mac={MAC}")[0] == 200
    assert machine.get(f"/entry/inst/initrd0?mac={MAC}")[0] == 409
    told(daemon, f"cannot boot the entry inst: {tmp_path}/initrd.gz has the SHA-256")


def test_nothing_hostile_gets_into_answers(daemon, machine, add, tmp_path):
    add("preseed", "x\n", name="other")
    words = ("entry", "add", "inst", "--kernel", tmp_path / "linux", "--preseed", tmp_path / "answers", "--set")
    for value in ("a\nd-i preseed/late_command string reboot", "$(reboot)", "`reboot`", "a'b", 'a"b', "a;b", "a\\"):
        assert "could be more than text" in daemon.refused(*words, f"suite={value}")
    for name in ("Suite", "a_b", "", "a b"):
        assert "no name of a variable" in daemon.refused(*words, f"{name}=x")
    for name in ("node", "installed-url", "answer-url", "server-url"):
        assert "gives the variable" in daemon.refused(*words, f"{name}=x")
    assert "NAME=VALUE" in daemon.usage(*words, "suite")
    assert "one format only" in daemon.usage(*words[:-1], "--kickstart", tmp_path / "answers")
    assert "variables" in daemon.refused("entry", "add", "x", "--kernel", tmp_path / "linux", "--set", "a=b")
    assert "of a kernel" in daemon.refused("entry", "add", "x", "--script", tmp_path / "linux", "--preseed", "/dev/null")


@pytest.mark.parametrize(("form", "file", "line"), [
    ("kickstart", "ks.cfg", "rootpw --iscrypted {{v}}\n"), ("autoinstall", "user-data", "a: {{v}}\n")])
def test_what_a_format_could_take_apart_has_to_be_quoted(daemon, machine, add, form, file, line):
    values = {"kickstart": "x --lock", "autoinstall": "x: [y]"}
    add(form, line + "fine\n", "--set", f"v={values[form]}")
    daemon.ok("boot", "web1", "inst")
    machine.boot()
    assert machine.get(INSTALL + file)[0] == 500
    told(daemon, "line 1: the value of v cannot stand there as it is; perhaps between quotes")
    daemon.ok("boot", "web1", "--clear")
    daemon.ok("entry", "remove", "inst")
    add(form, line.replace("{{v}}", '"{{v}}"'), "--set", f"v={values[form]}")
    daemon.ok("boot", "web1", "inst")
    machine.boot()
    assert machine.get(INSTALL + file) == (200, line.replace("{{v}}", f'"{values[form]}"'))


def test_a_mistake_in_answers_is_told(daemon, machine, add):
    add("preseed", "one\n{{nonsense}}\n")
    daemon.ok("boot", "web1", "inst")
    machine.boot()
    status, text = machine.get(f"{INSTALL}preseed.cfg")
    assert status == 500 and "see the log of nodisk" in text
    told(daemon, "answers: line 2: there is no variable nonsense")


def test_the_shipped_preseed_is_one(daemon, machine, add, tmp_path):
    """By debconf's own reader; with all variables, and with none."""
    key = "ssh-ed25519 AAAAC3Nz/+= me@example"
    settings = {"mirror-host": "10.0.0.1:8000", "mirror-directory": "/mirror", "suite": "bookworm", "ssh-key": key,
                "root-password-hash": "$6$salt$ab./", "packages": "vim less", "kernel-arguments": "console=ttyS0 quiet"}
    add("preseed", SHIPPED / "debian.preseed", name="bare")
    add("preseed", SHIPPED / "debian.preseed", *[w for n, v in settings.items() for w in ("--set", f"{n}={v}")])
    for entry in ("bare", "inst"):
        daemon.ok("boot", "web1", entry)
        machine.boot()
        status, text = machine.get(f"/install/{MAC}/{entry}/preseed.cfg")
        assert status == 200, daemon.output()
        (tmp_path / "preseed").write_text(text)
        checked = subprocess.run(["debconf-set-selections", "--checkonly", tmp_path / "preseed"], check=True,
                                 capture_output=True, text=True)
        assert not checked.stderr, checked.stderr
        assert "{{" not in text and f"wget -q -O /dev/null 'http://{SERVER}/install/{MAC}/{entry}/installed'" in text
        lines = text.splitlines()
        assert ("d-i mirror/http/hostname string 10.0.0.1:8000" in lines) == (entry == "inst")
        assert ("d-i passwd/root-password-crypted password !" in lines) == (entry == "bare")
        assert (f"echo '{key}' >>" in text) == (entry == "inst")


def test_the_shipped_user_data_is_one(daemon, machine, add):
    yaml = pytest.importorskip("yaml")
    settings = {"mirror-host": "10.0.0.1:8000", "mirror-directory": "/ubuntu", "ssh-key": "ssh-ed25519 AAA+/= me@example",
                "root-password-hash": "$6$salt$ab./", "mirror-proxy": "http://10.0.0.1:3128/"}
    add("autoinstall", SHIPPED / "ubuntu.user-data", name="bare")
    add("autoinstall", SHIPPED / "ubuntu.user-data", *[w for n, v in settings.items() for w in ("--set", f"{n}={v}")])
    for entry in ("bare", "inst"):
        daemon.ok("boot", "web1", entry)
        assert f"ds=nocloud-net;s=http://{SERVER}/install/{MAC}/{entry}/ " in machine.boot()
        status, text = machine.get(f"/install/{MAC}/{entry}/user-data")
        assert status == 200 and text.startswith("#cloud-config\n"), daemon.output()
        install = yaml.safe_load(text)["autoinstall"]
        assert install["version"] == 1 and install["user-data"]["hostname"] == "web1"
        assert install["late-commands"][-1].endswith(f"/install/{MAC}/{entry}/installed'")
        assert (install["ssh"].get("authorized-keys") == [settings["ssh-key"]]) == (entry == "inst")
        status, text = machine.get(f"/install/{MAC}/{entry}/meta-data")
        assert yaml.safe_load(text) == {"instance-id": f"web1.{entry}", "local-hostname": "web1"}
        assert machine.get(f"/install/{MAC}/{entry}/vendor-data") == (200, "")


def test_the_shipped_kickstart_is_rendered(daemon, machine, add):
    settings = {"mirror-host": "10.0.0.1:8000", "mirror-directory": "/fedora", "ssh-key": "ssh-ed25519 AAA+/= me@example",
                "root-password-hash": "$6$salt$ab./", "kernel-arguments": "console=ttyS0 rd.iscsi.firmware=1"}
    add("kickstart", SHIPPED / "fedora.ks", name="bare")
    add("kickstart", SHIPPED / "fedora.ks", *[w for n, v in settings.items() for w in ("--set", f"{n}={v}")])
    for entry in ("bare", "inst"):
        daemon.ok("boot", "web1", entry)
        assert f"inst.ks=http://{SERVER}/install/{MAC}/{entry}/ks.cfg " in machine.boot()
        status, text = machine.get(f"/install/{MAC}/{entry}/ks.cfg")
        assert status == 200 and "{{" not in text, daemon.output()
        lines = text.splitlines()
        assert "network --hostname=web1" in lines and lines.count("%end") == 3
        assert ("rootpw --iscrypted $6$salt$ab./" in lines) == (entry == "inst")
        assert ("rootpw --lock" in lines) == (entry == "bare")


def test_an_installer_may_fetch_the_program(daemon, machine, add):
    """For `nodisk prepare` in what it has installed."""
    add("preseed", "x\n")
    daemon.ok("boot", "web1", "inst")
    machine.boot()
    done = machine.namespace.run("sh", "-c", f"curl -sS http://{SERVER}{INSTALL}nodisk | head -c 4")
    assert done.stdout == "\x7fELF"


def test_chap_is_there_for_the_installation(daemon, machine, add):
    add("preseed", "x\n")
    daemon.ok("node", "set", "web1", "--chap", "one-way")
    daemon.ok("boot", "web1", "inst", "--once")
    script = machine.boot()
    assert INSTALLS in script and "set username web1" in script and "set password " in script


def test_a_rule_of_the_configuration_does_not_install_again(lab, tmp_path):
    """It cannot be changed by a node's word: the node gets a rule of its own."""
    daemon = lab.daemon(SUBNET + "[rule rack]\nboot = inst\n")
    machine = Machine(lab)
    assert daemon.post("/v1/volumes", name="disk1", size=1 << 20).result
    assert daemon.post("/v1/nodes", name="web1", macs=[NODE], address=ADDRESS, volume="disk1").result
    (tmp_path / "answers").write_text("x\n")
    daemon.ok("entry", "add", "inst", "--kernel", "/bin/true", "--preseed", tmp_path / "answers")
    assert INSTALLS in machine.boot()
    assert machine.get(f"{INSTALL}preseed.cfg") == (200, "x\n")
    assert machine.get(f"{INSTALL}installed") == (200, "installed\n")
    assert DISK in machine.boot() and DISK in machine.boot()
    assert "by the rule: node" in daemon.ok("boot", "web1", "--explain")
    machine.wire.close()
