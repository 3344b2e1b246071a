"""A virtual machine: BIOS or UEFI, with or without a disk, driven over its serial console."""

import codecs
import contextlib
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .netns import BRIDGE, Namespace
from .process import LabError, Process, wait_until

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

# Without hardware acceleration a plain processor is the quickest: for each
# feature that Linux sees it loads and patches code, and patching is slow here.
CPU = "qemu64,svm=off"

_ESCAPES = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>]|c)|\r")


class Console:
    """The serial console: everything it said with the second since power-on, and a keyboard."""

    def __init__(self, path: Path, log: Path, clock: Callable[[], float], state: Callable[[], str],
                 go_on: Callable[[], bool]) -> None:
        """STATE tells how the machine is, for the error of an expectation that was in vain; GO_ON is
        called when the console has ended, and tells whether it was attached again."""
        self.text = ""
        self.marks: list[tuple[int, float]] = []  # (length of text, seconds) at each arrival
        self._clock = clock
        self._state = state
        self._go_on = go_on
        self._changed = threading.Condition()
        self._log = log.open("w")
        self._line = ""
        self._socket: socket.socket | None = None
        self.attach(path)

    def attach(self, path: Path) -> None:
        """Goes on with what is said at PATH."""
        self._closed = False
        if self._socket:
            self._socket.close()
        self._socket = socket.socket(socket.AF_UNIX)
        wait_until("the machine's console", lambda: self._connect(path), 20)
        self._reader = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._reader.start()

    def _connect(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def _read(self, source: socket.socket) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        pending = ""
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            pending += decoder.decode(data)
            # an unfinished escape sequence waits for its end
            cut = len(pending)
            if (escape := pending.rfind("\x1b", -16)) >= 0 and not _ESCAPES.match(pending, escape):
                cut = escape
            piece, pending = pending[:cut], pending[cut:]
            self._append(_ESCAPES.sub("", piece))
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _append(self, text: str) -> None:
        now = self._clock()
        with self._changed:
            self.text += text
            self.marks.append((len(self.text), now))
            self._changed.notify_all()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log.write(f"[{now:8.2f}] {line}\n")
        self._log.flush()

    def time_at(self, offset: int) -> float:
        """The second since power-on at which the character at OFFSET came."""
        with self._changed:
            return next((second for length, second in self.marks if length > offset), 0.0)

    def seconds_of(self, pattern: str, start: int = 0) -> float | None:
        """When PATTERN was first seen at or after START; None if it was not."""
        found = re.search(pattern, self.text[start:])
        return self.time_at(start + found.start()) if found else None

    def expect(self, pattern: str, timeout: float, start: int = 0) -> re.Match[str]:
        """Waits for PATTERN in what came at or after offset START."""
        compiled = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + timeout
        with self._changed:
            while not (found := compiled.search(self.text, start)):
                left = end - time.monotonic()
                if left <= 0 or (self._closed and not self._go_on()):
                    break
                self._changed.wait(min(left, 1))
        if found:
            return found
        state = "the machine is off" if self._closed else self._state()
        raise LabError(f"the console did not show {pattern!r} within {timeout:.0f} seconds; its last lines:\n"
                       + "\n".join(self.text.splitlines()[-15:]) + (f"\n{state}" if state else ""))

    def send(self, text: str) -> None:
        """Types TEXT."""
        self._socket.sendall(text.encode())

    def close(self) -> None:
        """Ends the recording."""
        # shutdown wakes the reader, close would not
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()
        if self._line:
            self._log.write(f"[{self._clock():8.2f}] {self._line}\n")
        self._log.close()


class Monitor:
    """QEMU's control socket (QMP)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        wait_until("the machine's monitor", lambda: self._connect(path), 20)
        self._file = self._socket.makefile("rw")
        self.events: list[dict] = []
        json.loads(self._file.readline())
        self.command("qmp_capabilities")

    def _connect(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def command(self, name: str, /, **arguments: object) -> object:
        """Runs one command and returns its answer; events on the way are kept."""
        self._file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise LabError(f"the machine ended during {name}")
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise LabError(f"the machine's monitor refused {name}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def ended_by_reset(self) -> bool:
        """QEMU has ended, or is about to: was it because the machine was reset?"""
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                self.events.append(json.loads(line))
        return any("reset" in event["data"]["reason"] for event in self.events
                   if event.get("event") == "SHUTDOWN")

    def close(self) -> None:
        """Lets go of the socket."""
        self._file.close()
        self._socket.close()


@dataclass
class Result:
    """What a command in the machine did."""

    status: int
    output: str
    seconds: float


@dataclass
class Machine:
    """A machine that can be powered on, watched, logged in to and switched off.

    firmware  "bios" or "uefi"
    card      QEMU's device name of the network card
    disk      a raw file: a local virtio disk, and no network boot
    screen    a VGA screen, for screenshot(); without, BIOS and iPXE print on the
              serial console (UEFI always does)

    A reset, the machine's own or ours, ends QEMU, and whoever waits for its console starts it
    again. Within one QEMU the next boot is slow, at times as good as for ever: each write to a page
    of memory that has held code is looked at for as long as some of that code is kept in translation.
    """

    namespace: Namespace
    name: str
    mac: str
    firmware: str = "bios"
    card: str = "virtio-net-pci"
    disk: Path | None = None
    memory: int = 1024
    cpus: int = 2
    screen: bool = False
    bridge: str = BRIDGE
    extra: list[str] = field(default_factory=list)

    process: Process | None = field(default=None, init=False, repr=False)
    console: Console | None = field(default=None, init=False, repr=False)
    monitor: Monitor | None = field(default=None, init=False, repr=False)
    power_on_at: float = field(default=0.0, init=False, repr=False)  # time.monotonic()
    power_on_epoch: float = field(default=0.0, init=False, repr=False)  # time.time()

    @property
    def tap(self) -> str:
        """The name of its tap in the namespace."""
        return f"tap-{self.name}"[:15]

    @property
    def folder(self) -> Path:
        """Where its files are: console.log, sockets, UEFI variables."""
        return self.namespace.work / self.name

    def seconds(self) -> float:
        """Since power-on."""
        return time.monotonic() - self.power_on_at

    def command_line(self) -> list[object]:
        """QEMU's arguments."""
        words: list[object] = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU,
            "-m", self.memory, "-smp", self.cpus, "-nodefaults", "-display", "none",
            "-action", "reboot=shutdown",
            "-device", "virtio-rng-pci",
            "-chardev", f"socket,id=serial,path={self.folder}/serial,server=on,wait=off",
            "-serial", "chardev:serial",
            "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off",
            "-netdev", f"tap,id=net0,ifname={self.tap},script=no,downscript=no",
        ]
        card = f"{self.card},netdev=net0,mac={self.mac}"
        if self.firmware == "uefi":
            # no option ROM: OVMF's own driver and PXE client, as on a real machine
            card += ",romfile="
            words += ["-machine", "q35",
                      "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                      "-drive", f"if=pflash,format=raw,unit=1,file={self.folder}/vars.fd"]
        else:
            words += ["-machine", "pc" + ("" if self.screen else ",graphics=off")]
        if self.screen:
            words += ["-device", "VGA"]
        if self.disk:
            words += ["-drive", f"if=none,id=disk,format=raw,file={self.disk},cache=writeback",
                      "-device", "virtio-blk-pci,drive=disk,bootindex=1"]
        else:
            card += ",bootindex=1"
        return [*words, "-device", card, *self.extra]

    def power_on(self) -> None:
        """Starts the machine; the clock begins."""
        if self.process:
            raise LabError(f"{self.name} is on already")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.firmware == "uefi" and not (self.folder / "vars.fd").exists():
            shutil.copyfile(OVMF_VARS, self.folder / "vars.fd")
        taps = self.namespace.run("ip", "-o", "link", "show", "type", "tun").stdout
        if f" {self.tap}:" not in taps:
            self.namespace.add_tap(self.tap, self.bridge)
        self.power_on_at, self.power_on_epoch = time.monotonic(), time.time()
        self._start(self._open_console)

    def _open_console(self) -> None:
        self.console = Console(self.folder / "serial", self.folder / "console.log", self.seconds,
                               self.state, self._go_on)

    def _start(self, open_console: Callable[[], None]) -> None:
        """QEMU, and what connects us with it."""
        for name in ("serial", "monitor"):
            (self.folder / name).unlink(missing_ok=True)
        self.process = Process(self.name, self.namespace.command(*self.command_line()),
                               self.folder / "qemu.log")
        try:
            open_console()
            self.monitor = Monitor(self.folder / "monitor")
        except (LabError, OSError) as error:
            said = self.process.output()
            self.kill()
            raise LabError(f"{error}; qemu said: {said}") from None

    def _go_on(self) -> bool:
        """The console has ended: starts the machine again if it was reset. False: it is off."""
        if not self.monitor or not self.monitor.ended_by_reset():
            return False
        self.monitor.close()
        self.process.stop()
        self._start(lambda: self.console.attach(self.folder / "serial"))
        return True

    def wait_login(self, timeout: float = 900, start: int = 0) -> float:
        """Waits for the login prompt; returns the second since power-on."""
        found = self.console.expect(r"^\S+ login: ", timeout, start)
        return self.console.time_at(found.start())

    def login(self, password: str = "nodisk", user: str = "root", timeout: float = 900,
              start: int = 0) -> float:
        """Logs in on the console; returns when the prompt was there."""
        prompt_at = self.wait_login(timeout, start)
        if not any(self._try_login(user, password) for _ in range(6)):
            raise LabError(f"{self.name} lets nobody in; the console's last lines:\n"
                           + "\n".join(self.console.text.splitlines()[-15:]) + f"\n{self.state()}")
        # no line editor, no echo, no prompt: only what commands print
        self.console.send("exec env TERM=dumb PS1= PS2= sh +o emacs\n")
        here = len(self.console.text)
        self.console.send("stty -echo cols 500; echo rea''dy\n")
        self.console.expect(r"^ready$", 120, here)
        return prompt_at

    def _try_login(self, user: str, password: str) -> bool:
        """Types both; false: what was typed was thrown away, by getty before it was ready or by login
        before it had switched the echo off, or login has given up, which it does after a minute."""
        here = len(self.console.text)
        time.sleep(0.5)
        self.console.send(f"{user}\n")
        with contextlib.suppress(LabError):
            self.console.expect(r"Password: ", 15, here)
            time.sleep(0.5)
            self.console.send(f"{password}\n")
            found = self.console.expect(r"[#$] $|Login incorrect|Login timed out", 120, here)
            return found[0][0] in "#$"
        return False

    def start_command(self, command: str) -> int:
        """Types a command and does not wait; returns the console's offset before it."""
        here = len(self.console.text)
        self.console.send(command + "\n")
        return here

    def run(self, command: str, timeout: float = 300, check: bool = True) -> Result:
        """Runs a command in the machine's shell (after login) and returns what it printed."""
        marker = f"{time.monotonic_ns():x}"
        begin = time.monotonic()
        here = self.start_command(f"{{ {command}\n}} 2>&1; echo \"<$?> {marker[:4]}\"\"{marker[4:]}\"")
        found = self.console.expect(rf"<(\d+)> {marker}\n", timeout, here)
        output = self.console.text[here:found.start()]
        # the kernel's own lines may fall into it
        lines = [line for line in output.splitlines() if not re.match(r"\[ *\d+\.\d+\] ", line)]
        result = Result(int(found[1]), "\n".join(lines).strip(), time.monotonic() - begin)
        if check and result.status != 0:
            raise LabError(f"{self.name}: {command!r} failed (exit {result.status}): {result.output}")
        return result

    def state(self) -> str:
        """Whether it runs, and where each processor is, as QEMU knows it: tells a slow machine from a stuck one."""
        try:
            lines = [f"{self.name}: {self.monitor.command('query-status')['status']}, "
                     f"{self.seconds():.0f} s after power-on"]
            for _ in range(2):
                registers = self.monitor.command("human-monitor-command",
                                                 **{"command-line": "info registers -a"})
                lines += re.findall(r"CPU#\d+|[RE]IP=.*", registers)
                time.sleep(1)
        except (LabError, OSError) as error:
            return f"{self.name}: its monitor does not answer: {error}"
        return "\n".join(lines)

    def screenshot(self) -> Path:
        """What the VGA screen shows, as a PNG file."""
        path = self.folder / f"screen-{self.seconds():.1f}.png"
        self.monitor.command("screendump", filename=str(path), format="png")
        return path

    def set_link(self, up: bool) -> None:
        """Pulls or plugs the cable of the network card."""
        self.monitor.command("set_link", name="net0", up=up)

    def reset(self) -> None:
        """The reset button."""
        self.monitor.command("system_reset")

    def press_power_button(self) -> None:
        """A short press: the system shuts down by itself."""
        self.monitor.command("system_powerdown")

    def wait_off(self, timeout: float = 120) -> float:
        """Waits until the machine has switched itself off; returns seconds since power-on."""
        wait_until(f"{self.name} switching itself off", lambda: not self.process.alive(), timeout)
        if self.monitor.ended_by_reset():
            raise LabError(f"{self.name} has restarted and not switched itself off")
        seconds = self.seconds()
        self._forget()
        return seconds

    def kill(self) -> None:
        """Pulls the plug."""
        if self.process:
            self.process.kill()
        self._forget()

    def _forget(self) -> None:
        if self.console:
            self.console.close()
        if self.monitor:
            self.monitor.close()
        self.process = self.monitor = None

    def __enter__(self) -> "Machine":
        self.power_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
