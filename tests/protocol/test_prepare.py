"""`nodisk prepare` and its doctor, on trees that look like an installed Debian."""

import contextlib
import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK, plain_program
from preparelab import KERNEL, MODULES, PACKERS, UUID, Tree, cpio, microcode, prepare

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of a system are root's")

UNITS = "etc/systemd/system"


@pytest.fixture
def plain(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "root")


@pytest.fixture
def tree(plain: Tree) -> Tree:
    """Prepared, with a good initramfs."""
    plain.prepare()
    plain.make_initramfs()
    return plain


def test_a_prepared_tree_has_what_a_node_needs(plain: Tree) -> None:
    said = plain.prepare()
    assert f"left to you: update-initramfs -u -k {KERNEL}" in said
    root = plain.root
    assert f"UUID={UUID}  /  ext4  errors=remount-ro,noatime  0 1\n" in plain.path("etc/fstab").read_text()
    assert "\n# not across the network: /dev/sda5 none swap" in plain.path("etc/fstab").read_text()
    assert "/dev/sr0 /media/cdrom0 udf user,noauto 0 0\n" in plain.path("etc/fstab").read_text()
    assert plain.path("etc/hosts").read_text() == "127.0.0.1\tlocalhost\n"
    assert plain.path("etc/machine-id").read_bytes() == b""
    assert plain.path("etc/initramfs-tools/conf.d/resume").read_text() == "RESUME=none\n"
    assert os.readlink(root / "etc/iscsi/initiatorname.iscsi") == "/run/nodisk/initiatorname.iscsi"
    assert os.readlink(root / "etc/resolv.conf") == "/run/nodisk/resolv.conf"
    for gone in ("etc/hostname", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub",
                 "var/lib/dhcp/dhclient.eth0.leases", "var/lib/systemd/random-seed",
                 "etc/udev/rules.d/70-persistent-net.rules"):
        assert not os.path.lexists(root / gone), gone
    for program in ("etc/initramfs-tools/hooks/nodisk", "etc/initramfs-tools/scripts/local-top/nodisk",
                    "usr/lib/nodisk/up"):
        assert (root / program).stat().st_mode & 0o777 == 0o755
    for unit in ("nodisk-up", "nodisk-boot-record", "nodisk-ssh-keys", "systemd-networkd"):
        assert (root / UNITS / f"multi-user.target.wants/{unit}.service").is_symlink()


def test_the_files_are_those_of_the_golden_image(plain: Tree) -> None:
    plain.prepare()
    source = Path(__file__).resolve().parents[2] / "data/prepare/debian"
    files = [path for path in source.rglob("*") if path.is_file()]
    assert len(files) > 15
    for path in files:
        name = "/".join(path.relative_to(source).parts[1:])
        assert plain.path(name).read_bytes() == path.read_bytes(), name


def test_a_second_run_changes_nothing(tree: Tree) -> None:
    before = tree.snapshot()
    assert tree.run() == "nothing to do: it is prepared\n"
    assert tree.run("--dry-run") == "nothing to do: it is prepared\n"
    assert tree.snapshot() == before


def test_a_dry_run_shows_all_and_changes_nothing(plain: Tree) -> None:
    before = plain.snapshot()
    said = plain.run("--dry-run", "--root-uuid", UUID)
    assert plain.snapshot() == before
    assert "--- a/etc/fstab\n+++ b/etc/fstab\n@@ -1,4 +1,4 @@\n # static\n-/dev/sda1 / ext4" in said
    assert "--- /dev/null\n+++ b/etc/initramfs-tools/hooks/nodisk\n@@ -0,0 +1," in said
    assert "--- a/etc/hostname\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n" in said
    assert "link /etc/resolv.conf -> /run/nodisk/resolv.conf: made" in said
    assert f"command: update-initramfs -u -k {KERNEL}" in said
    assert "file /etc/ssh/ssh_host_ed25519_key: removed" in said and "SECRET" not in said


def test_a_diff_is_one_that_patch_takes(plain: Tree, tmp_path: Path) -> None:
    lines = [f"UUID={number} /mnt/{number} ext4 nofail 0 2\n" for number in range(40)]
    lines[3], lines[20] = "/dev/sda1 / ext4 defaults 0 1\n", "/dev/sda2 none swap sw 0 0"
    plain.put("etc/fstab", "".join(lines[:21]) + "\n" + "".join(lines[21:]).rstrip("\n"))
    said = plain.run("--dry-run", "--root-uuid", UUID)
    diff = said[said.index("--- a/etc/fstab"):]
    begin = plain.path("etc/fstab").read_text()
    plain.prepare()
    other = tmp_path / "other"
    (other / "etc").mkdir(parents=True)
    (other / "etc/fstab").write_text(begin)
    subprocess.run(["git", "apply", "--include=etc/fstab", "-"], input=diff[:diff.index("--- ", 5)],
                   text=True, check=True, cwd=other)
    assert (other / "etc/fstab").read_text() == plain.path("etc/fstab").read_text()


def test_undo_gives_all_back(plain: Tree) -> None:
    before = plain.snapshot()
    plain.prepare()
    assert plain.path("var/lib/nodisk-prepare").stat().st_mode & 0o777 == 0o700
    plain.path("etc/iscsi/iscsid.conf").unlink()
    plain.prepare()  # the first state is what counts
    plain.run("--undo", "--no-commands")
    assert plain.snapshot() == before
    assert "there is nothing to undo" in plain.run("--undo", "--no-commands", code=1)


def test_undo_leaves_what_somebody_changed_since(plain: Tree) -> None:
    before = plain.snapshot()
    plain.prepare()
    plain.put("etc/hosts", "127.0.0.1 localhost mine\n")
    said = plain.run("--undo", "--no-commands", code=1)
    assert "/etc/hosts: was changed since and stays" in said
    after = plain.snapshot(but="var/lib/nodisk-prepare")
    assert after.pop("etc/hosts")[4] == b"127.0.0.1 localhost mine\n"
    assert after == {name: what for name, what in before.items() if name != "etc/hosts"}
    plain.prepare()  # what is kept of it is not mixed up with what is new
    plain.run("--undo", "--no-commands", "--force")
    assert plain.snapshot() == before


def test_undo_leaves_what_was_changed_between_two_runs(plain: Tree) -> None:
    before = plain.snapshot()
    plain.prepare()
    plain.put("etc/fstab", plain.path("etc/fstab").read_text() + "UUID=77 /srv ext4 nofail 0 2\n/dev/vdb1 none swap\n")
    plain.prepare()
    plain.prepare()
    written = plain.path("etc/fstab").read_text()
    assert "\nUUID=77 /srv" in written and "\n# not across the network: /dev/vdb1 none swap" in written
    assert "/etc/fstab: was changed since and stays" in plain.run("--undo", "--no-commands", code=1)
    assert plain.path("etc/fstab").read_text() == written
    plain.run("--undo", "--no-commands", "--force")
    assert plain.snapshot() == before


def test_undo_of_a_run_that_was_cut_off(plain: Tree) -> None:
    """What is noted and not written is nobody else's."""
    before = plain.snapshot()
    plain.prepare()
    plain.put("etc/hosts", before["etc/hosts"][4])
    os.utime(plain.path("etc/hosts"), ns=(0, before["etc/hosts"][3]))
    plain.prepare()
    plain.run("--undo", "--no-commands")
    assert plain.snapshot() == before


def test_a_name_that_no_record_can_have(plain: Tree) -> None:
    """It is named, nothing is changed, and without a record it can go."""
    key = os.fsencode(plain.path("etc/ssh")) + b"/ssh_host_\xff_key"
    Path(os.fsdecode(key)).write_text("SECRET\n")
    before = plain.snapshot()
    said = plain.run("--no-commands", "--root-uuid", UUID, code=1)
    assert "/etc/ssh/ssh_host_?_key has a name" in said and "not UTF-8" in said and "--no-undo" in said
    assert plain.snapshot() == before
    plain.run("--no-commands", "--root-uuid", UUID, "--no-undo")
    assert not os.path.lexists(key)


def test_undo_shows_names_and_does_nothing_to_a_terminal(plain: Tree) -> None:
    entry = {"path": "etc/\x1b[2Jx", "kind": "file", "data": "7", "mode": 0, "uid": 0, "gid": 0, "seconds": 0,
             "nanoseconds": 0, "after": "x"}
    plain.put("var/lib/nodisk-prepare/undo.json", json.dumps({"paths": [entry]}))
    said = plain.run("--undo", "--no-commands", code=1)
    assert "/etc/\\x1b[2Jx: stays as it is" in said and "\x1b" not in said


def test_undo_goes_on_after_what_it_cannot_give_back(plain: Tree) -> None:
    before = {name: what for name, what in plain.snapshot().items() if not name.startswith("etc/ssh")}
    plain.prepare()
    shutil.rmtree(plain.path("etc/ssh"))
    said = plain.run("--undo", "--no-commands", code=1)
    assert "/etc/ssh/ssh_host_ed25519_key: stays as it is: No such file or directory\n" in said
    assert plain.snapshot(but="var/lib/nodisk-prepare") == before
    plain.path("etc/ssh").mkdir()
    plain.run("--undo", "--no-commands")
    assert plain.path("etc/ssh/ssh_host_ed25519_key").read_text() == "SECRET-OF-ONE-MACHINE\n"


def test_a_record_is_not_there_without_its_data(plain: Tree) -> None:
    """Whatever ends its removal."""
    plain.prepare()
    plain.put("var/lib/nodisk-prepare/99-mine/file", "")
    assert "cannot remove /var/lib/nodisk-prepare" in plain.run("--undo", "--no-commands", code=1)
    assert not plain.path("var/lib/nodisk-prepare/undo.json").exists()
    assert not plain.path("var/lib/nodisk-prepare/1").exists()
    shutil.rmtree(plain.path("var/lib/nodisk-prepare/99-mine"))
    before = plain.snapshot()
    plain.prepare()
    plain.run("--undo", "--no-commands")
    assert plain.snapshot(but="var/lib/nodisk-prepare") == {
        name: what for name, what in before.items() if not name.startswith("var/lib/nodisk-prepare")}


def test_undo_can_be_tried_and_forgotten(plain: Tree) -> None:
    plain.prepare()
    prepared = plain.snapshot()
    assert "/etc/fstab: as it was" in plain.run("--undo", "--dry-run")
    assert plain.snapshot() == prepared
    plain.run("--forget-undo")
    assert not plain.path("var/lib/nodisk-prepare").exists()
    assert "there is nothing to undo" in plain.run("--undo", "--no-commands", code=1)


def test_nothing_is_kept_if_that_is_wanted(plain: Tree) -> None:
    plain.run("--no-commands", "--root-uuid", UUID, "--no-undo")
    assert not plain.path("var/lib/nodisk-prepare").exists()
    assert not plain.path("etc/hostname").exists()


def test_a_command_that_fails_is_told(plain: Tree) -> None:
    plain.path("usr/sbin/update-initramfs").unlink()
    (plain.path("usr/sbin/update-initramfs")).symlink_to("/bin/false")
    assert "update-initramfs failed in" in plain.run("--root-uuid", UUID, code=1)
    assert not plain.path("etc/hostname").exists(), "what was done before stays"


def test_links_do_not_lead_out_of_the_tree(plain: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "fstab").write_text("precious\n")
    (outside / "hosts").write_text("precious\n")
    plain.path("etc/fstab").unlink()
    plain.path("etc/fstab").symlink_to(outside / "fstab")
    plain.path("etc/hosts").unlink()
    plain.path("etc/hosts").symlink_to("../" * 20 + str(outside / "hosts"))
    plain.path("usr/lib/nodisk").symlink_to(outside)
    plain.path("etc/cloud").symlink_to("../" * 20 + str(outside))
    plain.run("--no-commands", "--root-uuid", UUID, code=1)
    plain.path("usr/lib/nodisk").unlink()
    plain.path("etc/cloud").unlink()
    plain.prepare()
    assert sorted(path.name for path in outside.iterdir()) == ["fstab", "hosts"]
    assert {path.read_text() for path in outside.iterdir()} == {"precious\n"}
    assert "/  ext4  errors=remount-ro" in plain.path("etc/fstab").read_text()


def test_a_record_of_a_stranger_does_no_harm(plain: Tree, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    up = "../" * 20 + str(precious)
    entry = {"path": up, "kind": "absent", "mode": 0, "uid": 0, "gid": 0, "seconds": 0, "nanoseconds": 0,
             "after": "x"}
    for entries in ([entry], [{**entry, "path": str(precious)}], [{**entry, "kind": "file", "data": up}],
                    [{**entry, "path": ".."}], [{}], [7]):
        plain.put("var/lib/nodisk-prepare/undo.json", json.dumps({"paths": entries}))
        subprocess.run([NODISK, "prepare", "--undo", "--force", "--no-commands", "--root", plain.root],
                       check=False, timeout=60)
        assert precious.read_text() == "precious\n"
    plain.put("var/lib/nodisk-prepare/undo.json", "{")
    assert "is damaged" in plain.run("--undo", "--no-commands", code=1)


def give_to_a_stranger(path: Path) -> None:
    os.chown(path, 65534, 65534)


def link_elsewhere(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("name", ["", "undo.json", "data"])
@pytest.mark.parametrize("turn", [give_to_a_stranger, lambda path: path.chmod(0o770), lambda path: path.chmod(0o702),
                                  link_elsewhere], ids=["owner", "group", "others", "link"])
def test_what_a_stranger_can_write_is_not_believed(plain: Tree, name: str, turn) -> None:
    plain.prepare()
    store = plain.path("var/lib/nodisk-prepare")
    if name == "data":
        paths = json.loads((store / "undo.json").read_text())["paths"]
        name = next(one["data"] for one in paths if one["path"] == "etc/fstab")
    turn(store / name)
    prepared = plain.path("etc/fstab").read_bytes()
    said = plain.run("--undo", "--no-commands", "--force", code=1)
    assert "is not root's alone" in said or "/etc/fstab: stays as it is: Operation not permitted" in said
    assert plain.path("etc/fstab").read_bytes() == prepared
    if not name.isdigit():
        plain.put("etc/hosts", "127.0.1.1 old\n")
        assert "is not root's alone: move it away" in plain.run("--no-commands", code=1)
        assert plain.path("etc/hosts").read_text() == "127.0.1.1 old\n"


def test_undo_makes_nothing_that_runs_as_its_owner(plain: Tree) -> None:
    plain.prepare()
    record = plain.path("var/lib/nodisk-prepare/undo.json")
    text = json.loads(record.read_text())
    for one in text["paths"]:
        one["mode"] |= 0o6000
    record.write_text(json.dumps(text))
    plain.run("--undo", "--no-commands")
    assert plain.path("etc/fstab").read_text().startswith("# static\n/dev/sda1 / ext4")
    assert [name for name, what in plain.snapshot().items() if what[0] & 0o6000] == []


def test_what_is_no_file_is_told(plain: Tree) -> None:
    os.mkfifo(plain.path("etc/default"), 0o600)
    assert "cannot" in plain.run("--no-commands", "--root-uuid", UUID, code=1)
    plain.path("etc/default").unlink()
    plain.path("etc/resolv.conf").unlink()
    os.mkfifo(plain.path("etc/resolv.conf"))
    before = plain.snapshot()
    assert "/etc/resolv.conf is no file" in plain.run("--no-commands", "--root-uuid", UUID, code=1)
    assert plain.snapshot() == before


def test_a_unit_that_is_enabled_in_another_way_stays(plain: Tree) -> None:
    link = plain.path(f"{UNITS}/multi-user.target.wants/nodisk-up.service")
    link.symlink_to("../nodisk-up.service")
    plain.prepare()
    assert os.readlink(link) == "../nodisk-up.service"


MOUNTED = """
set -e
truncate -s 64M "$1/disk"
mkfs.ext4 -q -F -U 0a0b0c0d-1111-2222-3333-444455556666 "$1/disk"
mkdir "$1/mounted"
mount -o loop "$1/disk" "$1/mounted"
cp -a "$1/root/." "$1/mounted"
"$2" prepare --root "$1/mounted" --check || true
"$2" prepare --root "$1/mounted" --no-commands >&2
cat "$1/mounted/etc/fstab"
"""


@pytest.mark.skipif(not os.path.exists("/dev/loop0"), reason="there are no loop devices")
def test_a_mounted_disk_tells_its_uuid(plain: Tree, tmp_path: Path) -> None:
    plain.change("etc/fstab", "/dev/sda1", "UUID=12345678-1111-2222-3333-444455556666")
    result = subprocess.run(["unshare", "-m", "sh", "-c", MOUNTED, "sh", tmp_path, NODISK], capture_output=True,
                            text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "error: fstab-root-uuid (stage system)\n" in result.stdout
    assert "\nUUID=0a0b0c0d-1111-2222-3333-444455556666  /  ext4  errors=remount-ro,noatime  0 1\n" in result.stdout


OWN = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mkdir -p "$1/root/etc/ssh"
echo secret >"$1/root/etc/ssh/ssh_host_test_key"
look() { cd "$1/upper"; find . -type f -o -type l -o -type c | sort; echo =; }
chroot "$1/root" "$2" prepare --no-commands --root-uuid 1234-5678 >&2
look "$1"
chroot "$1/root" "$2" prepare --undo --no-commands >&2
chroot "$1/root" "$2" prepare --check >&2 || true
find . -name machine-id -size 0; cat ./etc/hostname
"""


@pytest.mark.skipif(not os.path.exists("/lib/systemd/systemd"), reason="this machine has no systemd")
def test_this_machine_s_own_system(tmp_path: Path) -> None:
    """Without --root; what is written goes to memory beside it, and is gone afterwards."""
    result = subprocess.run(["unshare", "-m", "sh", "-c", OWN, "sh", tmp_path, NODISK], capture_output=True,
                            text=True, timeout=120)
    if "unknown filesystem type 'overlay'" in result.stderr:
        pytest.skip("the kernel has no overlay file system")
    assert result.returncode == 0, result.stderr
    assert "no new login by SSH works before its next boot" in result.stderr
    written, undone = result.stdout.split("=\n")
    assert {"./etc/fstab", "./etc/machine-id", "./usr/lib/nodisk/up", "./var/lib/nodisk-prepare/undo.json"} \
        <= set(written.splitlines())
    assert undone == Path("/etc/hostname").read_text()
    assert not os.path.exists("/var/lib/nodisk-prepare")


def test_swap_stays_if_that_is_wanted(plain: Tree) -> None:
    plain.run("--no-commands", "--root-uuid", UUID, "--keep-swap")
    assert "\n/dev/sda5 none swap sw 0 0\n" in plain.path("etc/fstab").read_text()


def test_a_root_whose_uuid_nobody_knows_is_left_to_a_person(plain: Tree) -> None:
    assert "left to you: the root file system's UUID is not known" in plain.run("--no-commands")
    assert "/dev/sda1  /  ext4  errors=remount-ro,noatime  0 1" in plain.path("etc/fstab").read_text()


def test_another_root_file_system_is_for_the_initramfs_too(plain: Tree) -> None:
    plain.change("etc/fstab", "ext4", "xfs")
    plain.prepare()
    assert "\nFSTYPE=xfs\n" in plain.path("etc/initramfs-tools/conf.d/nodisk").read_text()
    plain.make_initramfs()
    assert set(plain.findings()) == {"initramfs-file-system"}
    assert plain.run() == "nothing to do: it is prepared\n"


def test_packages_that_are_missing_are_installed_first(plain: Tree) -> None:
    plain.change("var/lib/dpkg/status", "Package: open-iscsi\nStatus: install ok installed",
                 "Package: open-iscsi\nStatus: deinstall ok config-files")
    said = plain.run("--dry-run", "--root-uuid", UUID)
    assert "command: apt-get install --yes --no-install-recommends open-iscsi (" in said


# What the package open-iscsi brings, as far as it concerns us.
APT_GET = """#!/bin/sh
if [ "$1" = update ]; then
    while read -r line; do echo "$line"; done </etc/resolv.conf >/seen
    exit 0
fi
mkdir -m 700 /etc/iscsi
echo "node.startup = of the package" >/etc/iscsi/iscsid.conf
printf "Package: open-iscsi\\nStatus: install ok installed\\n\\n" >>/var/lib/dpkg/status
"""


def without_open_iscsi(tree: Tree) -> None:
    """A tree that has programs of its own to run."""
    for program in ("sh", "mkdir"):
        tree.add_program(program)
    tree.put("usr/bin/apt-get", APT_GET, 0o755)
    tree.put("usr/sbin/update-initramfs", "#!/bin/sh\n", 0o755)
    tree.change("var/lib/dpkg/status", "Package: open-iscsi\nStatus: install ok installed\nPriority: optional\n\n", "")
    tree.path("run").mkdir()
    tree.path("tmp").mkdir()
    shutil.rmtree(tree.path("etc/iscsi"))


def test_a_package_brings_directories_and_files(plain: Tree) -> None:
    without_open_iscsi(plain)
    said = plain.run("--root-uuid", UUID)
    assert "packages " in said and "random-seed " in said
    assert "timeo.replacement_timeout = -1" in plain.path("etc/iscsi/iscsid.conf").read_text()
    assert plain.path("etc/iscsi/initiatorname.iscsi").is_symlink()
    assert plain.path("etc/iscsi").stat().st_mode & 0o777 == 0o700
    plain.make_initramfs()
    assert plain.run() == "nothing to do: it is prepared\n"
    plain.run("--undo", "--no-commands")
    assert plain.path("etc/iscsi/iscsid.conf").read_text() == "node.startup = of the package\n"
    assert not plain.path("etc/iscsi/initiatorname.iscsi").is_symlink()


@pytest.mark.skipif(not os.path.exists("/etc/resolv.conf"), reason="this machine has no name servers")
@pytest.mark.parametrize("link", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolv.conf"])
def test_programs_have_name_servers(plain: Tree, link: str) -> None:
    without_open_iscsi(plain)
    plain.path("etc/resolv.conf").unlink()
    plain.path("etc/resolv.conf").symlink_to(link)
    plain.run("--root-uuid", UUID)
    seen = [line.split() for line in plain.path("seen").read_text().splitlines()]
    assert seen and seen == [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    assert list(plain.path("run").iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/etc/resolv.conf"), reason="this machine has no name servers")
def test_programs_have_this_machine_s_name_servers_and_the_file_stays(plain: Tree) -> None:
    without_open_iscsi(plain)
    before = plain.path("etc/resolv.conf").read_text()
    plain.run("--root-uuid", UUID)
    seen = [line.split() for line in plain.path("seen").read_text().splitlines()]
    assert seen == [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    plain.run("--undo", "--no-commands")
    assert plain.path("etc/resolv.conf").read_text() == before


def test_a_large_list_of_packages_is_read(tree: Tree) -> None:
    other = "Package: other\nStatus: install ok installed\nDescription: " + "x" * 100_000 + "\n\n"
    tree.put("var/lib/dpkg/status", other * 50 + tree.path("var/lib/dpkg/status").read_text())
    assert tree.run() == "nothing to do: it is prepared\n"
    assert tree.findings() == {}


def test_what_an_administrator_wrote_stays(plain: Tree) -> None:
    plain.put("etc/default/nodisk", "NODISK_PORT=8080\n")
    plain.path("etc/resolv.conf").unlink()
    plain.path("etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    plain.prepare()
    assert plain.path("etc/default/nodisk").read_text() == "NODISK_PORT=8080\n"
    assert os.readlink(plain.path("etc/resolv.conf")) == "../run/systemd/resolve/stub-resolv.conf"


def test_grub_is_to_find_root_by_its_uuid(plain: Tree) -> None:
    plain.put("usr/sbin/update-grub", "")
    plain.put("etc/default/grub", "GRUB_TIMEOUT=5\nGRUB_DISABLE_LINUX_UUID=true\n")
    plain.put("boot/grub/grub.cfg", "linux /vmlinuz root=/dev/sda1 ro\n")
    assert {"grub-root-device", "grub-disable-uuid"} <= set(plain.findings())
    said = plain.prepare()
    assert plain.path("etc/default/grub").read_text() == "GRUB_TIMEOUT=5\n# GRUB_DISABLE_LINUX_UUID=true\n"
    assert "left to you: run update-grub where this tree is the root of a disk" in said


ON_A_DISK = """
set -e
mkdir "$1/mounted"
mount -t tmpfs none "$1/mounted"
cp -a "$1/root/." "$1/mounted"
"$2" prepare --root "$1/mounted" --dry-run --root-uuid 1234-5678
"""


@pytest.mark.parametrize("device", ["/dev/sda1", "UUID=1234-5678"])
def test_grub_is_told_of_an_initramfs_that_is_new(tree: Tree, tmp_path: Path, device: str) -> None:
    tree.put("usr/sbin/update-grub", "")
    tree.put("etc/default/grub", "GRUB_TIMEOUT=5\n")
    tree.put("boot/grub/grub.cfg", f"linux /vmlinuz root={device} ro\n")
    tree.path(f"boot/initrd.img-{KERNEL}").unlink()
    result = subprocess.run(["unshare", "-m", "sh", "-c", ON_A_DISK, "sh", tmp_path, NODISK], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    commands = [line.split()[1:3] for line in result.stdout.splitlines() if line.startswith("command: ")]
    assert [command[0] for command in commands] == ["update-initramfs", "update-grub"]
    assert commands[0][1] == "-c"


@pytest.mark.parametrize(("path", "reason"), [
    ("var/lib/dpkg/status", "neither Debian's packages nor RPM's"),
    ("usr/lib/systemd/systemd", "has neither systemd nor sysvinit-core"),
])
def test_other_systems_are_refused(plain: Tree, path: str, reason: str) -> None:
    plain.path(path).unlink()
    before = plain.snapshot()
    assert reason in plain.run("--no-commands", code=1)
    assert plain.snapshot() == before


def test_wrong_usage(plain: Tree) -> None:
    assert "only one of" in plain.run("--check", "--undo", code=2)
    assert "it is no UUID" in plain.run("--root-uuid", "x y", code=2)
    assert "cannot open /no/such/place" in prepare("--root", "/no/such/place", code=1)


def test_a_server_does_not_prepare_itself_by_mistake(tmp_path: Path) -> None:
    (tmp_path / "sock").touch()
    said = prepare("--socket", str(tmp_path / "sock"), "--no-commands", code=1)
    assert "this machine is a nodisk server itself" in said


def test_json_and_the_list_of_steps(plain: Tree) -> None:
    answer = json.loads(plain.run("--json", "--no-commands", "--root-uuid", UUID))
    assert answer["done"] and not answer["ran"] and not answer["left"]
    assert {"step": "host-name", "path": "/etc/hostname", "what": "removed"} in answer["changes"]
    assert answer["commands"] == [{"step": "initramfs-build", "why": "the initramfs is to have what was written",
                                   "command": ["update-initramfs", "-u", "-k", KERNEL]}]
    steps = json.loads(prepare("--json", "--list"))["steps"]
    assert {change["step"] for change in answer["changes"]} < {step["name"] for step in steps}
    assert steps[0]["name"] == "packages" and "\nfstab  " in prepare("--list")


# --- bridges

PROXMOX = ("auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\nauto vmbr0\niface vmbr0 inet static\n"
           "\taddress 192.0.2.7/24\n\tgateway 192.0.2.1\n\tbridge-ports eno1\n\tbridge_stp off\n"
           "\tbridge-vlan-aware yes\n\tbridge-vids 2-4094\n\nauto vmbr1\niface vmbr1 inet manual\n"
           "\tbridge-ports none\n\tbridge-stp off\n")
GUESTS = "\tbridge-ports-condone-regex ^(tap|veth|vnet|fwpr|fwln|lxc)\n"
OURS = ("iface vmbr0 inet manual\n\tbridge-ports enboot\n\tbridge-stp off\n\tbridge-fd 0\n\taddress-purge no\n"
        f"{GUESTS}\tbridge-vlan-aware yes\n\tbridge-vids 2-4094\n\nauto vmbr1\niface vmbr1")


def bridged(tree: Tree) -> None:
    """A hypervisor's, whose boot card is under a bridge: its initramfs is to have that."""
    tree.put("etc/network/interfaces", PROXMOX)
    said = tree.run("--no-commands", "--root-uuid", UUID, "--bridge", "vmbr0")
    assert f"update-initramfs -u -k {KERNEL}" in said


def test_a_bridge_of_proxmox_is_made_by_the_initramfs(tree: Tree) -> None:
    """Its address is no longer one machine's; what guests want of it stays; undo gives it back."""
    tree.put("etc/network/interfaces", PROXMOX)
    assert "nodisk prepare --bridge vmbr0" in tree.run("--no-commands", "--root-uuid", UUID)
    assert tree.findings().keys() == {"ifupdown-bridge", "fixed-address"}
    bridged(tree)
    text = tree.path("etc/network/interfaces").read_text()
    assert OURS in text and "192.0.2" not in text and "iface eno1 inet manual" in text
    assert "BRIDGE='vmbr0'\n" in tree.path("etc/nodisk/boot-network").read_text()
    tree.make_initramfs()
    assert tree.findings() == {}
    assert "nothing to do" in tree.prepare()
    tree.run("--no-commands", "--root-uuid", UUID, "--bridge", "none")
    assert not tree.path("etc/nodisk/boot-network").exists()
    tree.run("--undo", "--no-commands")
    assert tree.path("etc/network/interfaces").read_text() == PROXMOX


def test_a_bridge_that_ifupdown_has_not_heard_of(tree: Tree) -> None:
    tree.run("--no-commands", "--root-uuid", UUID, "--bridge", "br0", "--bond", "bond0", "--bond-cards", "ens4 eno*")
    text = tree.path("etc/network/interfaces").read_text()
    assert text.endswith("\nauto br0\niface br0 inet manual\n\tbridge-ports bond0\n\tbridge-stp off\n\tbridge-fd 0\n"
                         f"\taddress-purge no\n{GUESTS}")
    assert tree.path("etc/nodisk/boot-network").read_text().endswith(
        "BRIDGE='br0'\nBOND='bond0'\nBOND_CARDS='ens4 eno*'\n")
    tree.make_initramfs()
    assert tree.findings() == {}


@pytest.mark.parametrize("arguments", [
    ["--bridge", "a b"], ["--bridge", "enboot"], ["--bridge", ""], ["--bridge", "../x"],
    ["--bridge", "as-long-as-this-0"], ["--bond", "bond0"], ["--bond-cards", "ens4"],
    ["--bond", "b", "--bond-cards", "$(x)"], ["--bridge", "b", "--bond", "b", "--bond-cards", "x"],
    ["--bond", "none", "--bond-cards", "x"],
])
def test_names_that_no_interface_can_have(tree: Tree, arguments: list[str]) -> None:
    tree.run(*arguments, "--no-commands", code=2)
    assert not tree.path("etc/nodisk").exists()


# --- the doctor

@pytest.mark.parametrize("packer", PACKERS)
def test_nothing_is_found_in_a_prepared_tree(tree: Tree, packer: str) -> None:
    tree.make_initramfs(packer=packer)
    assert tree.run("--check") == "nothing found\n"
    tree.make_initramfs(packer=packer, early=b"")
    assert tree.findings() == {}


def test_much_is_found_in_a_plain_one(plain: Tree) -> None:
    found = plain.findings()
    assert {"initramfs-no-script", "fstab-root-device", "fstab-swap", "machine-id", "ssh-host-keys", "host-name",
            "initiator-name", "dhcp-leases", "card-names", "random-seed", "ifupdown", "networkd-off",
            "iscsid-timeout", "iscsid-takes-over", "disk-timeout"} <= set(found)
    for finding in found.values():
        assert finding["severity"] in ("error", "warning") and finding["what"] and finding["fix"]
        assert finding["stage"] in ("loader", "initramfs", "system", "up", "shutdown")


def stock(tree: Tree, **files: bytes) -> None:
    """Debian's own script, with or without what switches it on."""
    tree.make_initramfs(without="nodisk", **{"scripts/local-top/iscsi": b"", "usr/sbin/iscsistart": b""}, **files)


def unlink(*names: str):
    def plant(tree: Tree) -> None:
        for name in names:
            tree.path(name).unlink()
    return plant


def put(name: str, text: str = "x"):
    return lambda tree: tree.put(name, text)


def change(name: str, old: str, new: str):
    return lambda tree: tree.change(name, old, new)


def without(name: str):
    return lambda tree: tree.make_initramfs(without=name)


def cloud_init(tree: Tree) -> None:
    tree.put("usr/bin/cloud-init", "")
    tree.path("etc/cloud/cloud.cfg.d/99-nodisk.cfg").unlink()


FAULTS = [
    ("no-kernel", "error", unlink(f"boot/vmlinuz-{KERNEL}")),
    ("no-initramfs", "error", unlink(f"boot/initrd.img-{KERNEL}")),
    ("no-initramfs", "error", put("boot/vmlinuz-7.0.0")),
    ("initramfs-damaged", "error", put(f"boot/initrd.img-{KERNEL}", "")),
    ("initramfs-damaged", "error", put(f"boot/initrd.img-{KERNEL}", "no archive at all")),
    ("initramfs-iscsi-tcp", "error", without("iscsi_tcp")),
    ("initramfs-iscsi-ibft", "error", without("iscsi_ibft")),
    ("initramfs-sd-mod", "error", without("sd_mod")),
    ("initramfs-file-system", "error", without("ext4")),
    ("initramfs-no-card", "error", without("e1000")),
    ("initramfs-no-script", "error", without("scripts/")),
    ("initramfs-no-login-program", "error", without("sbin/iscsid")),
    ("initramfs-no-login-program", "error", without("sbin/iscsiadm")),
    ("initramfs-busybox", "error", without("busybox")),
    ("initramfs-udev", "error", without("udevd")),
    ("initramfs-iscsi-auto", "error", stock),
    ("initramfs-nobody-reconnects", "warning",
     lambda tree: stock(tree, **{"etc/iscsi.initramfs": b"ISCSI_AUTO=true\n"})),
    ("initramfs-stale", "warning",
     lambda tree: tree.make_initramfs(**{"scripts/local-top/nodisk": b"#!/bin/sh\n"})),
    ("initramfs-stale", "warning",
     change("etc/iscsi/iscsid.conf", "noop_out_interval = 5", "noop_out_interval = 6")),
    ("initramfs-dracut", "warning",
     lambda tree: tree.make_initramfs(without="scripts", **{"usr/lib/dracut/hooks/x": b""})),
    ("resume", "warning", lambda tree: tree.make_initramfs(**{"conf/conf.d/resume": b"RESUME=UUID=abc\n"})),
    ("fstab-no-root", "error", put("etc/fstab", "# nothing\n")),
    ("fstab-root-device", "error", change("etc/fstab", f"UUID={UUID}", "/dev/sda1")),
    ("fstab-root-netdev", "warning", change("etc/fstab", "remount-ro", "remount-ro,_netdev")),
    ("fstab-swap", "warning", change("etc/fstab", "# not across the network: ", "")),
    ("fstab-device", "warning", put("etc/fstab", f"UUID={UUID} / ext4 noatime\n/dev/vdb /srv xfs\n")),
    ("machine-id", "error", put("etc/machine-id", "0123456789abcdef0123456789abcdef\n")),
    ("host-name", "warning", put("etc/hostname", "old\n")),
    ("ssh-host-keys", "error", put("etc/ssh/ssh_host_rsa_key")),
    ("initiator-name", "error", put("etc/iscsi/initiatorname.iscsi")),
    ("dhcp-leases", "warning", put("var/lib/dhcp/dhclient.leases")),
    ("card-names", "warning", put("etc/udev/rules.d/70-persistent-net.rules")),
    ("card-link-file", "warning",
     put("etc/systemd/network/10-lan.link", "[Match]\nMACAddress=52:54:00:00:00:01\n[Link]\nName=lan\n")),
    ("random-seed", "warning", put("var/lib/systemd/random-seed")),
    ("iscsid-timeout", "warning",
     change("etc/iscsi/iscsid.conf", "replacement_timeout = -1", "replacement_timeout = 120")),
    ("ifupdown", "error", unlink(f"{UNITS}/networking.service.d/nodisk.conf")),
    ("ifupdown", "error", unlink(f"{UNITS}/ifup@.service.d/nodisk.conf")),
    ("ifupdown-bridge", "warning",
     put("etc/network/interfaces.d/br0", "iface br0 inet dhcp\n  bridge_ports eth0\n")),
    ("network-manager-unmanaged", "warning",
     lambda tree: [tree.put("usr/sbin/NetworkManager", ""),
                   tree.put("etc/NetworkManager/conf.d/x.conf", "[keyfile]\nunmanaged-devices=mac:1\n")]),
    ("network-manager-unmanaged", "warning",
     lambda tree: [tree.put("usr/sbin/NetworkManager", ""),
                   tree.put("etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices = mac:1\n")]),
    ("networkd-file", "warning", put("etc/systemd/network/00-all.network", "[Match]\nName=*\n")),
    ("networkd-netdev", "warning", lambda tree: [
        bridged(tree), tree.put("etc/systemd/network/50-x.netdev", "[NetDev]\nName=vmbr0\nKind=bridge\n")]),
    ("bridge-port", "error", lambda tree: [
        bridged(tree), tree.change("etc/network/interfaces", "bridge-ports enboot", "bridge-ports eno1")]),
    ("bridge-address", "error", lambda tree: [
        bridged(tree), tree.put("usr/share/ifupdown2/ifupdown2", ""),
        tree.change("etc/network/interfaces", "\taddress-purge no\n", "")]),
    ("bridge-delay", "warning", lambda tree: [
        bridged(tree), tree.change("etc/network/interfaces", "bridge-stp off", "bridge_stp on")]),
    ("bridge-delay", "warning", lambda tree: [
        bridged(tree), tree.change("etc/network/interfaces", "bridge-fd 0", "bridge-fd 15")]),
    ("networkd-off", "warning", unlink(f"{UNITS}/multi-user.target.wants/systemd-networkd.service")),
    ("cloud-init", "error", cloud_init),
    ("netplan-bridge", "warning", put("etc/netplan/01.yaml", "network:\n  bridges:\n    br0: {}\n")),
    ("iscsid-takes-over", "warning", unlink(f"{UNITS}/iscsid.service")),
    ("disk-timeout", "warning", unlink("etc/udev/rules.d/60-nodisk-disk.rules")),
    ("open-iscsi", "error", change("var/lib/dpkg/status", "Package: open-iscsi\n", "Package: other\n")),
    ("no-systemd", "error", unlink("usr/lib/systemd/systemd")),
    ("grub-no-config", "error", put("etc/default/grub", "GRUB_TIMEOUT=5\n")),
    ("grub-root-device", "error", put("boot/grub/grub.cfg", "linux /vmlinuz root=/dev/sda1 ro\n")),
    ("grub-root-other", "warning", put("boot/grub/grub.cfg", "linux /vmlinuz root=ZFS=rpool/ROOT ro\n")),
    ("many-kernels", "warning",
     lambda tree: [(tree.put(f"boot/vmlinuz-6.1.0-{number}", ""),
                    os.link(tree.path(f"boot/initrd.img-{KERNEL}"), tree.path(f"boot/initrd.img-6.1.0-{number}")))
                   for number in range(10, 42)]),
    ("root-mapper", "warning", put("boot/grub/grub.cfg", "linux /vmlinuz root=/dev/mapper/vg-root ro\n")),
    ("cloud-init-instance", "warning", put("var/lib/cloud/instance/datasource")),
    ("fixed-address", "warning",
     put("etc/network/interfaces.d/lan", "iface eth1 inet static\n\taddress 192.0.2.7/24\n")),
    ("fixed-address", "warning",
     put("etc/network/interfaces", "iface eth1 inet static\n  address 192.0.2.7/24\n")),
    ("fixed-address", "warning",
     put("etc/network/interfaces", "iface eth1 inet static\n\taddress\t192.0.2.7/24\n")),
    ("fixed-address", "warning",
     put("etc/netplan/01.yaml", "ethernets:\n  lan:\n    nameservers:\n      addresses: [192.0.2.1]\n"
                                "    addresses:\n    - 192.0.2.7/24\n")),
    ("many-files", "warning",
     lambda tree: [tree.put(f"etc/NetworkManager/system-connections/{number}", "") for number in range(1001)]),
    ("fixed-address", "warning", put("etc/systemd/network/10-lan.network", "[Network]\nAddress=192.0.2.7/24\n")),
    ("fixed-address", "warning",
     put("etc/NetworkManager/system-connections/lan.nmconnection", "[ipv4]\naddress1=192.0.2.7/24\n")),
    ("fixed-address", "warning",
     put("etc/netplan/01.yaml", "network:\n  ethernets:\n    lan:\n      match:\n        macaddress: 00:00:00:00:00:01\n")),
    ("efi-removable", "error", put("boot/efi/EFI/debian/grubx64.efi")),
]


@pytest.mark.parametrize(("name", "severity", "plant"), FAULTS,
                         ids=[f"{number}-{fault[0]}" for number, fault in enumerate(FAULTS)])
def test_a_planted_fault_is_found(tree: Tree, name: str, severity: str, plant) -> None:
    plant(tree)
    if name == "iscsid-timeout":
        tree.make_initramfs()
    found = tree.findings()
    assert set(found) == {name}
    assert found[name]["severity"] == severity


def test_words_on_the_command_line_of_the_kernel(tree: Tree) -> None:
    tree.put("boot/grub/grub.cfg", "linux /vmlinuz root=UUID=x ro\n")
    tree.put("etc/default/grub", 'GRUB_CMDLINE_LINUX="quiet ip=dhcp"\nGRUB_DISABLE_LINUX_UUID=true\n')
    assert set(tree.findings()) == {"kernel-ip", "grub-disable-uuid"}


@pytest.mark.parametrize("name", ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"])
def test_ip_is_found_in_both_variables(tree: Tree, name: str) -> None:
    tree.put("boot/grub/grub.cfg", "linux /vmlinuz root=UUID=x ro\n")
    tree.put("etc/default/grub", f'{name}="quiet ip=dhcp"\n')
    assert f"ip= in {name}:" in tree.findings()["kernel-ip"]["what"]


def test_another_system_s_root_is_no_fault(tree: Tree) -> None:
    tree.put("boot/grub/grub.cfg", "linux /vmlinuz root=UUID=x ro\n### BEGIN /etc/grub.d/30_os-prober ###\n"
                                   "\tlinux /boot/vmlinuz root=/dev/sda5\n### END /etc/grub.d/30_os-prober ###\n")
    tree.put("usr/sbin/update-grub", "")
    tree.put("etc/default/grub", "GRUB_TIMEOUT=5\n")
    assert tree.findings() == {}
    assert "update-grub" not in tree.run("--no-commands")


def test_what_only_looks_like_a_fault_is_none(tree: Tree) -> None:
    tree.put("usr/sbin/NetworkManager", "")
    tree.put("etc/NetworkManager/conf.d/x.conf", "[keyfile]\n#unmanaged-devices=mac:1\nunmanaged-devices+=mac:2\n")
    tree.put("etc/netplan/01.yaml", "ethernets:\n  lan:\n    nameservers:\n\n      search: [lan]\n"
                                    "      addresses: [192.0.2.1]\n    dhcp4: true\n")
    tree.put("etc/network/interfaces.d/lan", "iface eth1 inet dhcp\n# address 192.0.2.7\n")
    assert tree.findings() == {}


def test_a_stranger_s_files_cost_little_memory(tree: Tree) -> None:
    """200 names of one file of 4 MiB, which is no space on the disk."""
    large = tree.path("large")
    large.touch()
    os.truncate(large, 4 << 20)
    tree.path("etc/netplan").mkdir()
    for number in range(200):
        tree.path(f"etc/netplan/{number}.yaml").symlink_to("/large")
    # one of them at a time; all that it reads of them would be 36 MiB, and they are 800
    done = subprocess.run(["prlimit", f"--data={24 << 20}", plain_program(), "prepare", "--check", "--root", tree.root],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "many-files" in done.stdout


def test_a_stranger_s_texts_do_not_reach_the_terminal(tree: Tree) -> None:
    tree.put("etc/hostname", b"\x1b[2Jold\x9b\xc2\x9b\xff\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\xa0\x80\xc0\xaf\n")
    what = tree.findings()["host-name"]["what"]
    assert r'says "\x1b[2Jold\x9b\xc2\x9b\xffé€😀\xed\xa0\x80\xc0\xaf":' in what
    assert "\x1b" not in tree.run("--check")


def test_a_terminal_gets_nothing_of_a_stranger_but_text(tree: Tree) -> None:
    """The diff as it is for a program, and what a terminal would do escaped for people."""
    tree.put("etc/fstab", b"# \x1b[2Jfirst\xff\n/dev/sda1 / ext4 defaults 0 1\n")
    command = [NODISK, "prepare", "--dry-run", "--no-commands", "--root-uuid", UUID, "--root", str(tree.root)]
    piped = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    assert b" # \x1b[2Jfirst\xff\n" in piped
    main, terminal = pty.openpty()
    child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # EIO, when nobody has the other end open any more
        while more := os.read(main, 4096):
            shown += more
    os.close(main)
    assert child.wait(timeout=60) == 0
    assert rb" # \x1b[2Jfirst\xff" in shown and b"\x1b[2J" not in shown and b"\xff" not in shown
    assert b"-/dev/sda1 / ext4" in shown


def test_a_loader_of_another_processor(tree: Tree) -> None:
    tree.put("boot/efi/EFI/BOOT/BOOTAA64.EFI", "MZ")
    assert tree.findings() == {}
    assert tree.run() == "nothing to do: it is prepared\n"


def test_a_loader_at_the_removable_path_in_whatever_case(tree: Tree) -> None:
    tree.put("boot/efi/efi/boot/bootx64.efi", "MZ")
    assert tree.findings() == {}


def test_a_module_that_is_built_in_is_not_missed(tree: Tree) -> None:
    tree.make_initramfs(without="iscsi_tcp")
    tree.put(f"usr/lib/modules/{KERNEL}/modules.builtin", "kernel/drivers/scsi/iscsi_tcp.ko\n")
    assert tree.findings() == {}


def test_an_initramfs_that_is_cut_off_anywhere_is_damaged(tree: Tree) -> None:
    whole = tree.path(f"boot/initrd.img-{KERNEL}").read_bytes()
    for size in range(0, len(whole) - 600, 997):
        tree.put(f"boot/initrd.img-{KERNEL}", whole[:size])
        # what is cut off between two archives is a whole one, with nothing in it
        assert set(tree.findings()) & {"initramfs-damaged", "initramfs-no-script"}, size


def test_several_archives_one_behind_the_other(tree: Tree) -> None:
    """Debian 13's: modules plain, the rest packed."""
    files = tree.contents()
    modules = {name: data for name, data in files.items() if MODULES in name}
    rest = {name: data for name, data in files.items() if name not in modules}
    tree.put(f"boot/initrd.img-{KERNEL}", microcode() + cpio(modules) + PACKERS["xz"](cpio(rest)))
    assert tree.findings() == {}


def test_a_message_for_people(tree: Tree) -> None:
    tree.put("etc/hostname", "old\n")
    assert tree.run("--check") == (
        "warning: host-name (stage system)\n"
        '  /etc/hostname says "old": all nodes are called that, whatever their iBFT says\n'
        "  mend it: nodisk prepare\n")
