"""The parts of today: dnsmasq, nginx and tgt as the boot server of a few nodes.

This is what nodisk is measured against, and what proves the golden image where
nodisk itself is not the question. The same methods and attributes are expected
of any server that the tests are given: see Server.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .netns import Namespace
from .process import LabError, Process, run, wait_until
from .tgt import Tgt

BASE_IQN = "iqn.2026-11.lan.example"
ADDRESS = "10.77.0.1"
NETWORK_BITS = 24


@dataclass(frozen=True)
class Node:
    """A machine as the server knows it."""

    name: str
    mac: str
    address: str
    disk: Path

    @property
    def initiator(self) -> str:
        """Its iSCSI name."""
        return f"{BASE_IQN}:{self.name}"


class Server(Protocol):
    """What the tests ask of a boot server."""

    address: str
    portal: str

    def add_node(self, name: str, mac: str, address: str, image: Path) -> Node:
        """Registers a node with a disk of its own, made from IMAGE."""

    def target_of(self, node: Node) -> str:
        """The iSCSI name of the node's boot disk."""

    def start(self) -> None:
        """Starts serving; returns when it does."""

    def kill(self) -> None:
        """Kills everything with SIGKILL, as a crash."""

    def stop(self) -> None:
        """Stops in an orderly way."""

    def cpu_seconds(self) -> float:
        """What it has used since the last start."""

    def reported_up(self, node: Node) -> bool:
        """Whether the node has phoned home since the last start."""


def copy_image(image: Path, disk: Path) -> None:
    """A disk of a node's own from the golden image, sparse."""
    run("cp", "--sparse=always", "--reflink=auto", image, disk, timeout=300)


@dataclass
class Today:
    """dnsmasq (DHCP, TFTP), nginx (boot script) and tgt (iSCSI) in a namespace.

    router_advertisements  have dnsmasq send them: ends iPXE's wait for one,
                           13 seconds at each DHCP (few people know to do it)
    crowd                  how many come at once, if they are many: the limits of all three
                           are raised to that, and not every message is logged
    disks                  whether tgt runs, too
    """

    namespace: Namespace
    router_advertisements: bool = False
    lease_seconds: int = 3600
    address: str = ADDRESS
    crowd: int = 0
    disks: bool = True
    nodes: list[Node] = field(default_factory=list, init=False)
    _daemons: dict[str, Process] = field(default_factory=dict, init=False)

    @property
    def portal(self) -> str:
        """Where its target listens."""
        return f"{self.address}:3260"

    @property
    def folder(self) -> Path:
        """Where its configuration, logs and disks are."""
        return self.namespace.work / "today"

    def target_of(self, node: Node) -> str:
        """The iSCSI name of the node's boot disk."""
        return f"{BASE_IQN}:{node.name}-disk"

    def add_node(self, name: str, mac: str, address: str, image: Path) -> Node:
        """Registers a node with a disk of its own, made from IMAGE (before start)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        node = Node(name, mac, address, self.folder / f"{name}.raw")
        copy_image(image, node.disk)
        self.nodes.append(node)
        return node

    def start(self) -> None:
        """Starts all three; returns when they serve."""
        if self._daemons:
            raise LabError("the server runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            if self.disks:
                self._start_tgt()
            self._start_nginx()
            self._start_dnsmasq()
        except BaseException:
            self.stop()
            raise

    def _start(self, name: str, *words: object, env: dict[str, str] | None = None) -> None:
        self._daemons[name] = self.namespace.start(f"today/{name}", *words, env=env)

    # -- DHCP and TFTP

    def _limits(self) -> list[str]:
        if not self.crowd:
            return ["log-dhcp"]
        return ["quiet-dhcp", "quiet-tftp", f"dhcp-lease-max={self.crowd + 1000}", f"tftp-max={self.crowd + 50}"]

    def _start_dnsmasq(self) -> None:
        lines = [
            "port=0", "interface=br0", "bind-interfaces", "user=root", "no-ping",
            "dhcp-authoritative", *self._limits(), f"dhcp-leasefile={self.folder}/leases",
            f"dhcp-range={self.address.rsplit('.', 1)[0]}.100,static,{self.lease_seconds}",
            # a stage is known by what it says of itself
            "dhcp-match=set:ipxe,175",
            "dhcp-match=set:uefi,option:client-arch,7",
            "dhcp-match=set:uefi,option:client-arch,9",
            "dhcp-boot=tag:!ipxe,tag:!uefi,undionly.kpxe",
            "dhcp-boot=tag:!ipxe,tag:uefi,snponly.efi",
            f"dhcp-boot=tag:ipxe,http://{self.address}/boot.ipxe",
            # no proxyDHCP server here: do not wait for one
            "dhcp-option=tag:ipxe,encap:175,176,1b",
            "enable-tftp", "tftp-root=/usr/lib/ipxe",
        ]
        if self.router_advertisements:
            lines += ["enable-ra", "dhcp-range=fd77::,ra-only,64,3600", "ra-param=br0,60,0"]
        lines += [f"dhcp-host={node.mac},{node.address},{node.name}" for node in self.nodes]
        config = self.folder / "dnsmasq.conf"
        config.write_text("\n".join(lines) + "\n")
        self._start("dnsmasq", "dnsmasq", "--keep-in-foreground", f"--conf-file={config}",
                    "--log-facility=-")
        wait_until("dnsmasq serving DHCP", lambda: ":67 " in self.namespace.run("ss", "-lun").stdout, 10)

    # -- HTTP

    def _start_nginx(self) -> None:
        www = self.folder / "www"
        www.mkdir(exist_ok=True)
        (www / "boot.ipxe").write_text(
            "#!ipxe\n"
            f"set initiator-iqn {BASE_IQN}:${{hostname}}\n"
            ":again\n"
            f"sanboot iscsi:{self.address}:::1:{BASE_IQN}:${{hostname}}-disk ||\n"
            "echo the boot disk does not answer; trying again\n"
            "sleep 3\n"
            "goto again\n")
        config = self.folder / "nginx.conf"
        temp = "\n".join(f"  {kind}_temp_path {self.folder}/tmp;"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(
            f"daemon off;\npid {self.folder}/nginx.pid;\nerror_log {self.folder}/nginx-error.log;\n"
            f"user root;\nworker_processes 1;\nevents {{ worker_connections {self.crowd + 512}; }}\nhttp {{\n"
            f"{temp}\n  access_log {self.folder}/access.log;\n"
            f"  server {{\n    listen {self.address}:80;\n    root {www};\n"
            "    location = /up { return 204; }\n  }\n}\n")
        (self.folder / "access.log").unlink(missing_ok=True)
        self._start("nginx", "nginx", "-c", config, "-e", f"{self.folder}/nginx-error.log")
        self._wait_tcp("nginx", 80)

    def reported_up(self, node: Node) -> bool:
        """Whether the node has phoned home since the last start."""
        log = self.folder / "access.log"
        return log.exists() and f'"POST /up?mac={node.mac} ' in log.read_text()

    # -- iSCSI

    def _start_tgt(self) -> None:
        # it has 16 for each disk unless told otherwise
        threads = max(1, min(16, 2000 // self.crowd)) if self.crowd else None
        tgt = Tgt(self.namespace, self.folder, self.portal, "today/tgtd").start(threads=threads)
        assert tgt.process
        self._daemons["tgtd"] = tgt.process
        tgt.add_all([(self.target_of(node), node.disk) for node in self.nodes])

    def _wait_tcp(self, name: str, port: int) -> None:
        def listens() -> bool:
            if not self._daemons[name].alive():
                raise LabError(f"{name} ended at once: {self._daemons[name].output().strip()}")
            return f":{port} " in self.namespace.run("ss", "-ltn").stdout
        wait_until(f"{name} listening", listens, 10)

    # -- all together

    def kill(self) -> None:
        """Kills all three with SIGKILL, as a crash of the server's programs."""
        for daemon in self._daemons.values():
            if daemon.name.endswith("nginx"):
                # the worker is a child, and would live on for a while
                run("pkill", "-KILL", "-P", daemon.pid, check=False)
            daemon.kill()
            self.namespace.processes.remove(daemon)
        self._daemons.clear()

    def stop(self) -> None:
        """Stops all three (tgtd does not end while a node is logged in)."""
        for daemon in self._daemons.values():
            daemon.stop(timeout=1)
            self.namespace.processes.remove(daemon)
        self._daemons.clear()

    def _workers(self) -> list[str]:
        nginx = self._daemons.get("nginx")
        return run("pgrep", "-P", nginx.pid, check=False).stdout.split() if nginx else []

    def pids(self) -> list[int]:
        """Of all their processes."""
        return [daemon.pid for daemon in self._daemons.values()] + list(map(int, self._workers()))

    def cpu_seconds(self) -> float:
        """What the three (and nginx's worker) have used since the last start."""
        total = sum(daemon.cpu_seconds() for daemon in self._daemons.values())
        if "nginx" in self._daemons:
            for worker in self._workers():
                fields = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / 100
        return total
