"""tgt, somebody else's iSCSI target, in a namespace."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from .netns import Namespace
from .process import LabError, Process, run, wait_until

# the values that Linux asks for; tgt's own defaults are smaller
PARAMETERS = {"MaxRecvDataSegmentLength": 262144, "FirstBurstLength": 262144, "MaxBurstLength": 1048576,
              "InitialR2T": "No", "MaxOutstandingR2T": 8}


@dataclass
class Tgt:
    """One tgtd, which listens at PORTAL ("10.0.0.9:3260"); its files are in FOLDER, its log is NAME.log."""

    namespace: Namespace
    folder: Path
    portal: str
    name: str = "tgtd"
    process: Process | None = field(default=None, init=False)
    targets: int = field(default=0, init=False)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TGT_IPC_SOCKET": f"{self.folder}/tgt.sock"}

    def adm(self, *words: object, check: bool = True):
        """Runs tgtadm."""
        return run("env", f"TGT_IPC_SOCKET={self.folder}/tgt.sock", "tgtadm", "--lld", "iscsi", *words, check=check)

    def start(self, timeout: float = 60, threads: int | None = None) -> "Tgt":
        """Starts it; returns when it serves, without any target. THREADS: for each disk, if not its own number."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob("tgt.sock*"):
            stale.unlink()
        self.targets = 0
        words = ["--nr_iothreads", threads] if threads else []
        self.process = self.namespace.start(self.name, "tgtd", *words, "--foreground", "--iscsi", f"portal={self.portal}",
                                            "--pid-file", f"{self.folder}/tgtd.pid", env=self._environment)
        wait_until("tgtd listening", self._listens, timeout)
        wait_until("tgtd answering", lambda: self.adm("--mode", "system", "--op", "show", check=False).returncode == 0,
                   timeout)
        return self

    def _listens(self) -> bool:
        assert self.process
        if not self.process.alive():
            raise LabError(f"tgtd ended at once: {self.process.output().strip()}")
        return f":{self.portal.rpartition(':')[2]} " in self.namespace.run("ss", "-ltn").stdout

    def add(self, target: str, disk: Path, lun: int = 1, initiator: str | None = None,
            chap: tuple[str, str] | None = None, mutual: tuple[str, str] | None = None) -> None:
        """A target with one LUN, for whoever comes or one initiator alone; chap, mutual: user and secret of the
        initiator and of the target."""
        self.targets += 1
        tid = self.targets
        self.adm("--mode", "target", "--op", "new", "--tid", tid, "-T", target)
        for name, value in PARAMETERS.items():
            self.adm("--mode", "target", "--op", "update", "--tid", tid, "-n", name, "-v", value)
        self.adm("--mode", "logicalunit", "--op", "new", "--tid", tid, "--lun", lun, "-b", disk)
        for account, words in ((chap, []), (mutual, ["--outgoing"])):
            if account:
                self.adm("--mode", "account", "--op", "new", "--user", account[0], "--password", account[1])
                self.adm("--mode", "account", "--op", "bind", "--tid", tid, "--user", account[0], *words)
        # with both, tgt wants both to fit
        self.adm("--mode", "target", "--op", "bind", "--tid", tid, "-I", "ALL")
        if initiator:
            self.adm("--mode", "target", "--op", "bind", "--tid", tid, "-Q", initiator)

    def add_all(self, disks: list[tuple[str, Path]]) -> None:
        """Targets with one LUN each, for whoever comes, all by one shell."""
        lines = []
        for target, disk in disks:
            self.targets += 1
            tid = f"--tid {self.targets}"
            lines += [f"t --mode target --op new {tid} -T {target}",
                      *(f"t --mode target --op update {tid} -n {name} -v {value}" for name, value in PARAMETERS.items()),
                      f"t --mode logicalunit --op new {tid} --lun 1 -b {disk}",
                      f"t --mode target --op bind {tid} -I ALL"]
        run("env", f"TGT_IPC_SOCKET={self.folder}/tgt.sock", "sh", "-e", timeout=3600,
            stdin="t() { tgtadm --lld iscsi \"$@\"; }\n" + "\n".join(lines) + "\n")

    def stop(self) -> None:
        """Ends it, with all its sessions; an orderly end would wait for them."""
        if self.process:
            self.process.kill()
            self.namespace.processes.remove(self.process)
            self.process = None

    def initiators(self) -> list[str]:
        """Whose sessions there are now."""
        lines = self.adm("--mode", "target", "--op", "show").stdout.splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("Initiator:")]
