"""The operator's own scripts over HTTP: a tree that was made for another server, and templates."""

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import MIB, SanDaemon
from lab.iscsi import LoginRefused, Session

TREE = Path(__file__).parent.parent / "lab" / "tree"
NODE, STRANGER = "52:54:00:00:0a:01", "52:54:00:00:0a:99"
NOT_AUTHORIZED, NOT_FOUND = 0x0202, 0x0203


class ScriptDaemon(SanDaemon):
    """Serves nodes on a port of its own address, so that it is known."""

    def write_config(self, more: str = "") -> None:
        super().write_config(f"[scripts]\ndirectory = {self.work / 'scripts'}\n{more}")
        text = self.config.read_text()
        self.config.write_text(text.replace("[http]\nlisten = 127.0.0.1:0\n", f"[http]\nlisten = {self.portal[0]}:8080\n"))

    @property
    def url(self) -> str:
        return f"http://{self.portal[0]}:8080"

    def fetch(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptDaemon]:
    shutil.copytree(TREE, tmp_path / "d" / "scripts")
    with ScriptDaemon(tmp_path / "d") as d:
        (tmp_path / "image.raw").write_bytes(b"golden" + bytes(MIB - 6))
        d.ok("image", "import", tmp_path / "image.raw", "--name", "debian12")
        d.ok("node", "add", "menu1", "--mac", NODE, "--address", "10.0.0.21", "--image", "debian12")
        yield d


@pytest.fixture
def scripts(daemon: ScriptDaemon) -> Path:
    return daemon.work / "scripts"


def dashed(mac: str) -> str:
    return mac.replace(":", "-")


def test_a_tree_is_served_as_it_is_with_our_values(daemon, scripts):
    for name in ("boot.ipxe", "menu.ipxe", "boot/hostname-menu1.ipxe"):
        assert daemon.fetch(f"/scripts/{name}") == (200, (scripts / name).read_text())
        assert daemon.fetch(f"/scripts/{dashed(NODE)}/{name}")[1] == (scripts / name).read_text()
    assert daemon.fetch("/scripts/boot.ipxe", "HEAD") == (200, "")
    assert daemon.fetch("/scripts/boot/hostname-other.ipxe")[0] == 404
    status, settings = daemon.fetch("/scripts/boot.ipxe.cfg")
    address, port = daemon.portal
    ours = {"boot-url": f"{daemon.url}/scripts/", "iscsi-server": address, "base-iqn": BASE_IQN,
            "base-iscsi": f"iscsi:{address}::{port}:0:{BASE_IQN}"}
    theirs = (scripts / "boot.ipxe.cfg").read_text().splitlines()
    expected = [f"set {line.split()[1]} {ours[line.split()[1]]}"
                if line.startswith("set ") and line.split()[1] in ours else line for line in theirs]
    assert status == 200 and settings.splitlines() == expected and expected != theirs
    assert f"set boot-url {daemon.url}/scripts/{dashed(NODE)}/\n" in daemon.fetch(
        f"/scripts/{dashed(NODE)}/boot.ipxe.cfg")[1]


def test_what_a_tree_lacks_is_made(daemon, scripts):
    (scripts / "boot.ipxe").unlink()
    (scripts / "boot.ipxe.cfg").unlink()
    settings = daemon.fetch(f"/scripts/{dashed(NODE)}/boot.ipxe.cfg")[1]
    assert f"\nset boot-url {daemon.url}/scripts/{dashed(NODE)}/\n" in settings
    assert f"\nset initiator-iqn {BASE_IQN}:menu1\n" in settings
    assert "initiator-iqn" not in daemon.fetch(f"/scripts/{dashed(STRANGER)}/boot.ipxe.cfg")[1]
    assert "${boot-dir}hostname-${hostname}.ipxe" in daemon.fetch("/scripts/boot.ipxe")[1]
    (scripts / "menu.ipxe").unlink()
    assert daemon.fetch("/scripts/boot.ipxe")[0] == daemon.fetch("/scripts/boot.ipxe.cfg")[0] == 404


def test_a_template_is_rendered_for_the_machine_that_asks(daemon, scripts):
    (scripts / "boot" / "mac-x.ipxe.in").write_text(
        "#!ipxe\n{{#node}}\nset a {{node}} {{address}} {{volume}} {{image}}\n"
        "sanboot {{root-path}}\n{{/node}}\n{{^node}}\necho {{mac}}\n{{/node}}\nset t {{my-timeout}}\n")
    (scripts / "variables").write_text("# mine\nmy-timeout = 7\n")
    path = "boot/mac-x.ipxe"
    address, port = daemon.portal
    assert daemon.fetch(f"/scripts/{dashed(NODE)}/{path}") == (
        200, "#!ipxe\nset a menu1 10.0.0.21 menu1 debian12\n"
        f"sanboot iscsi:{address}::{port}:0:{BASE_IQN}:menu1\nset t 7\n")
    assert daemon.fetch(f"/scripts/{dashed(STRANGER)}/{path}")[1] == f"#!ipxe\necho {dashed(STRANGER)}\nset t 7\n"
    assert daemon.fetch(f"/scripts/{path}")[1] == "#!ipxe\necho \nset t 7\n"
    (scripts / path).write_text("a file of that name comes first")
    assert daemon.fetch(f"/scripts/{path}")[1] == "a file of that name comes first"


def test_a_mistake_is_told_to_the_operator_and_nothing_is_served(daemon, scripts):
    (scripts / "bad.ipxe.in").write_text("#!ipxe\n\necho {{nod}}\n")
    assert daemon.fetch("/scripts/bad.ipxe")[0] == 500
    wait_until(lambda: "gets no script bad.ipxe: line 3: there is no variable nod; see `nodisk script check`"
               in daemon.output(), "the line of the log")
    (scripts / "bad.ipxe.in").write_text("#!ipxe\n" + "#" * (256 << 10))
    assert daemon.fetch("/scripts/bad.ipxe")[0] == 500
    (scripts / "bad.ipxe.in").write_text("#!ipxe\n")
    (scripts / "variables").write_text("x = a || reboot\n")
    assert daemon.fetch("/scripts/bad.ipxe")[0] == 500


def test_nothing_else_can_be_reached(daemon, scripts, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (scripts / "link").symlink_to(tmp_path / "secret")
    (scripts / "up").symlink_to("../..")
    (scripts / ".git").mkdir()
    (scripts / ".git" / "config").write_text("secret")
    (scripts / "variables").write_text("a = secret\n")
    (scripts / "x.ipxe.in").write_text("#!ipxe\n")
    for path in ("link", "up/secret", "../secret", "%2e%2e/secret", "..%2f..%2fsecret", ".git/config", "variables",
                 "x.ipxe.in", "", "boot", "boot/", "//../secret", f"{dashed(NODE)}/../../secret", "a" * 5000,
                 # the same in other words
                 "/variables", "%2fvariables", "%5cvariables", "%5c/%5cvariables", "/.git/config", "%5c.git%5cconfig",
                 "boot%5c..%5cvariables", "boot/..%5c.git/config", "%5cx.ipxe.in", "variables%00", "variables%00.ipxe",
                 ".git%00/config", "x.ipxe.in%00", "%5c..%5csecret"):
        status, text = daemon.fetch(f"/scripts/{path}")
        assert status in (404, 414) and "secret" not in text, path
    assert daemon.fetch("/scripts/%5cx.ipxe") == daemon.fetch("/scripts/x.ipxe") == (200, "#!ipxe\n")
    shutil.rmtree(scripts)
    assert daemon.fetch("/scripts/boot.ipxe")[0] == 404


def test_what_a_node_would_get_is_shown(daemon, scripts):
    own = daemon.ok("script", "show", "menu1")
    assert own.startswith("### /boot.ipxe, made by nodisk\n#!ipxe\n") and "set hostname menu1\n" in own
    parts = daemon.get("/v1/scripts/menu1?stage=scripts").json["parts"]
    assert [(part["file"], part["origin"]) for part in parts] == [
        ("boot.ipxe", "as it is"), ("boot.ipxe.cfg", "with this server's values"),
        ("boot/hostname-menu1.ipxe", "as it is"), ("menu.ipxe", "as it is")]
    # as it gets it, but for the address that it asks: this laboratory's node is in no network of ours
    assert parts[1]["text"] == daemon.fetch(f"/scripts/{dashed(NODE)}/boot.ipxe.cfg")[1]
    (scripts / "mine.ipxe.in").write_text("#!ipxe\necho {{node}} {{image}}\n")
    assert daemon.ok("script", "show", "menu1", "--stage", "mine.ipxe") == (
        "### mine.ipxe, from its template\n#!ipxe\necho menu1 debian12\n")
    assert "no gone.ipxe for this node" in daemon.refused("script", "show", "menu1", "--stage", "gone.ipxe")
    (scripts / "mine.ipxe.in").write_text("#!ipxe\n{{nod}}\n")
    assert "mine.ipxe: line 2: there is no variable nod" in daemon.refused("script", "show", "menu1", "--stage", "mine.ipxe")
    assert "there is no node nobody" in daemon.refused("script", "show", "nobody")


def test_some_nodes_boot_by_them_if_they_are_told_so(daemon, scripts):
    chained = f"chain --timeout 30000 {daemon.url}/scripts/{dashed(NODE)}/boot.ipxe "
    assert chained not in daemon.ok("script", "show", "menu1")
    daemon.ok("node", "set", "menu1", "--chap", "one-way")
    daemon.ok("boot", "menu1", "scripts")
    own = daemon.ok("script", "show", "menu1")
    assert chained in own and "set password hidden\n" in own and "sanboot" not in own
    daemon.ok("boot", "menu1", "menu")
    assert "item --key o scripts " in daemon.ok("script", "show", "menu1")
    daemon.ok("boot", "menu1", "scripts")
    for name in ("boot.ipxe", "menu.ipxe"):
        (scripts / name).unlink()
    assert "there are no scripts to boot by" in daemon.ok("script", "show", "menu1")
    assert "scripts" in daemon.cli("entry", "add", "scripts", "--script", scripts / "boot.ipxe.cfg").stderr


def test_secrets_are_not_shown(daemon):
    daemon.ok("node", "set", "menu1", "--chap", "mutual")
    own = daemon.ok("script", "show", "menu1")
    assert "set password hidden\n" in own and "set reverse-password hidden\n" in own


def refusal(daemon: ScriptDaemon, target: str, initiator: str) -> int:
    with pytest.raises(LoginRefused) as refused:
        Session(daemon.portal, f"{BASE_IQN}:{target}", f"{BASE_IQN}:{initiator}").login()
    return refused.value.status


def test_a_disk_is_found_by_its_node_and_system(daemon):
    daemon.ok("node", "add", "menu2", "--mac", STRANGER, "--image", "debian12")
    for system in ("debian12", "debian"):
        with Session(daemon.portal, f"{BASE_IQN}:menu1.{system}", f"{BASE_IQN}:menu1") as session:
            session.login()
            assert session.read(0, 1)[:6] == b"golden"
    assert refusal(daemon, "menu1.ubuntu", "menu1") == NOT_FOUND
    assert refusal(daemon, "menu1.", "menu1") == refusal(daemon, "nobody.debian12", "menu1") == NOT_FOUND
    assert refusal(daemon, "menu1.debian12", "menu2") == NOT_AUTHORIZED
    daemon.volume("menu1.debian12", 2 * MIB, allow=(f"{BASE_IQN}:menu1",))
    with Session(daemon.portal, f"{BASE_IQN}:menu1.debian12", f"{BASE_IQN}:menu1") as session:
        session.login()
        assert session.read(0, 1)[:6] == bytes(6)  # a volume of that very name comes first
