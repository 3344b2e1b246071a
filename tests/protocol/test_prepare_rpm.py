"""`nodisk prepare` and its doctor, on trees that look like a Fedora, a RHEL or an openSUSE."""

import os
from pathlib import Path

import pytest
from preparelab import KERNEL, UUID, RpmTree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of a system are root's")

UNITS = "etc/systemd/system"
DROP_IN = f"{UNITS}/iscsid.service.d/nodisk.conf"


@pytest.fixture
def plain(tmp_path: Path) -> RpmTree:
    return RpmTree(tmp_path / "root")


def as_grubby_does(tree: RpmTree) -> None:
    """The entry without what was to be removed."""
    tree.put(tree.entry, "title Linux\nlinux /vmlinuz\noptions root=UUID=1-2 ro quiet\n")


@pytest.fixture
def tree(plain: RpmTree) -> RpmTree:
    """Prepared, with a good initramfs."""
    plain.prepare()
    plain.make_initramfs()
    as_grubby_does(plain)
    return plain


def commands(tree: RpmTree) -> list[str]:
    """What a run would run."""
    said = tree.run("--dry-run", "--root-uuid", UUID)
    return [line.removeprefix("command: ").split(" (")[0] for line in said.splitlines() if line.startswith("command: ")]


def suse(tree: RpmTree) -> None:
    for name in ("usr/bin/dnf", "usr/sbin/grubby", tree.entry, tree.initramfs):
        tree.path(name).unlink()
    tree.put("usr/bin/zypper", "")


def test_a_prepared_tree_has_what_a_node_needs(plain: RpmTree) -> None:
    plain.prepare()
    for there in ("etc/dracut.conf.d/90-nodisk.conf", "usr/lib/dracut/modules.d/91nodisk/nodisk-boot", DROP_IN,
                  "etc/iscsi/iscsid.conf", "etc/udev/rules.d/60-nodisk-disk.rules", "usr/lib/nodisk/up",
                  "etc/NetworkManager/conf.d/90-nodisk.conf"):
        assert plain.path(there).exists(), there
    for gone in ("etc/initramfs-tools/hooks", f"{UNITS}/iscsid.service", f"{UNITS}/open-iscsi.service", "etc/hostname",
                 f"{UNITS}/ifup@.service.d", f"{UNITS}/nodisk-ssh-keys.service", "etc/ssh/ssh_host_ed25519_key",
                 f"{UNITS}/multi-user.target.wants/systemd-networkd.service", "var/lib/NetworkManager/secret_key"):
        assert not os.path.lexists(plain.path(gone)), gone
    assert plain.path("etc/kernel/cmdline").read_text() == "root=UUID=1-2 ro quiet\n"
    assert 'GRUB_CMDLINE_LINUX="quiet"\n' in plain.path("etc/default/grub").read_text()


def test_its_own_commands_are_run(plain: RpmTree) -> None:
    ran = commands(plain)
    assert f"dracut --force /{plain.initramfs} {KERNEL}" in ran
    grubby = [command for command in ran if command.startswith("grubby --update-kernel=ALL --remove-args=")]
    assert len(grubby) == 1 and "=resume ip " in grubby[0] and grubby[0].endswith(f"--args=root=UUID={UUID}")
    labels = ran[-1].split()
    assert labels[:3] == ["setfiles", "-F", "/etc/selinux/targeted/contexts/files/file_contexts"]
    assert "/usr/lib/nodisk/up" in labels and "/etc/hostname" not in labels
    assert not any("rescue" in command for command in ran)


def test_opensuse_has_other_names(plain: RpmTree) -> None:
    suse(plain)
    plain.path("usr/sbin/iscsid").unlink()
    ran = commands(plain)
    assert "zypper --non-interactive install --no-recommends open-iscsi" in ran
    assert f"dracut --force /boot/initrd-{KERNEL} {KERNEL}" in ran
    assert "left to you: run grub2-mkconfig -o /boot/grub2/grub.cfg where" in plain.prepare()


def test_a_package_that_is_missing_is_installed(plain: RpmTree) -> None:
    plain.path("usr/sbin/iscsid").unlink()
    assert "dnf install --assumeyes --setopt=install_weak_deps=False iscsi-initiator-utils" in commands(plain)
    assert "open-iscsi" in plain.findings()


def test_without_setfiles_a_person_is_told_what_to_do(plain: RpmTree) -> None:
    plain.path("usr/sbin/setfiles").unlink()
    assert "left to you: SELinux is on: touch /.autorelabel" in plain.prepare()
    plain.put("etc/selinux/config", "SELINUX=disabled\nSELINUXTYPE=targeted\n")
    plain.run("--undo", "--no-commands")
    assert "SELinux" not in plain.prepare()


def test_networkd_is_switched_on_where_it_is(plain: RpmTree) -> None:
    plain.put("usr/lib/systemd/systemd-networkd", "")
    plain.prepare()
    assert plain.path(f"{UNITS}/multi-user.target.wants/systemd-networkd.service").is_symlink()


def test_a_second_run_changes_nothing_and_undo_gives_all_back(plain: RpmTree) -> None:
    before = plain.snapshot()
    plain.prepare()
    plain.run("--undo", "--no-commands")
    assert plain.snapshot() == before
    plain.prepare()
    plain.make_initramfs()
    as_grubby_does(plain)
    assert plain.run("--root-uuid", UUID) == "nothing to do: it is prepared\n"


def test_much_is_found_in_a_plain_one(plain: RpmTree) -> None:
    assert {"initramfs-no-script", "dracut-conf", "kernel-arguments", "network-manager", "machine-id",
            "iscsid-takes-over"} <= set(plain.findings())


def test_nothing_is_found_in_a_prepared_tree(tree: RpmTree) -> None:
    assert tree.run("--check") == "nothing found\n"


def put(name: str, text: str = "x"):
    return lambda tree: tree.put(name, text)


IFCFG = "etc/sysconfig/network-scripts/ifcfg-eth0"
FAULTS = [
    ("no-initramfs", "error", lambda tree: tree.path(tree.initramfs).unlink()),
    ("grub-no-config", "error", lambda tree: tree.path("boot/grub2/grub.cfg").unlink()),
    ("grub-root-device", "error", lambda tree: tree.put(tree.entry, "linux /vmlinuz root=/dev/sda3\n")),
    ("grub-root-device", "error", lambda tree: tree.put(tree.entry, "options root=/dev/sda3 ro\n")),
    ("root-mapper", "warning", lambda tree: tree.put(tree.entry, "options root=/dev/mapper/rhel-root ro\n")),
    ("kernel-arguments", "warning", lambda tree: tree.put(tree.entry, "options root=UUID=1-2 rd.iscsi.ibft=1\n")),
    ("kernel-arguments", "warning", put("etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet ip=dhcp"\n')),
    ("open-iscsi", "error", lambda tree: tree.path("usr/sbin/iscsid").unlink()),
    ("iscsid-takes-over", "warning", lambda tree: tree.path(DROP_IN).unlink()),
    ("dhcp-leases", "warning", put("var/lib/dhclient/dhclient.leases")),
    ("fixed-address", "warning", put(IFCFG, "DEVICE=eth0\nIPADDR=192.0.2.7\n")),
    ("fixed-address", "warning", put(IFCFG, "HWADDR=52:54:00:00:00:01\n")),
    ("network-scripts", "error",
     lambda tree: [tree.put(IFCFG, "DEVICE=eth0\nBOOTPROTO=dhcp\n"), tree.put("etc/rc.d/init.d/network", "")]),
    ("network-scripts", "error",
     lambda tree: [tree.put("etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO=dhcp\n"), tree.put("usr/sbin/wicked", "")]),
    ("networkd-off", "warning", put("usr/lib/systemd/systemd-networkd")),
]


@pytest.mark.parametrize(("name", "severity", "plant"), FAULTS,
                         ids=[f"{number}-{fault[0]}" for number, fault in enumerate(FAULTS)])
def test_a_planted_fault_is_found(tree: RpmTree, name: str, severity: str, plant) -> None:
    plant(tree)
    found = tree.findings()
    assert set(found) == {name}
    assert found[name]["severity"] == severity


def test_what_is_networkmanager_s_is_no_fault(tree: RpmTree) -> None:
    """It reads files ifcfg-*, too, and leaves the boot card alone."""
    tree.put(IFCFG, "DEVICE=eth0\nBOOTPROTO=dhcp\n")
    assert tree.findings() == {}
