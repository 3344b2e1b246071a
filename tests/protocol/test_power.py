"""Power: the hooks that are shipped, against OpenIPMI's simulator and against a small peer that speaks the
part of Redfish (DSP0266) which the hook uses: that one is ours, and shows the hook, not anybody's BMC."""

import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from daemon import ROOT, Daemon, need, wait_until

MAC = "52:54:00:5e:00:01"
PASSWORD = 'p w"\\\'$x'
SHIPPED = ROOT / "data" / "hooks" / "power.d"


@pytest.fixture
def daemon(tmp_path):
    folder = tmp_path / "hooks" / "power.d"
    folder.mkdir(parents=True, mode=0o755)
    daemon = Daemon(tmp_path / "daemon")
    daemon.write_config(f"[hooks]\ndirectory = {tmp_path}/hooks\ntimeout = 120s\n")
    daemon.hooks = folder
    with daemon:
        daemon.ok("node", "add", "web1", "--mac", MAC)
        yield daemon


def install(daemon, name: str, text: str | None = None) -> None:
    path = daemon.hooks / name
    path.write_text(text if text is not None else (SHIPPED / name).read_text())
    path.chmod(0o755)


def set_bmc(daemon, address: str, password: str = PASSWORD, user: str = "admin", node: str = "web1") -> None:
    file = daemon.work / "password"
    file.touch(mode=0o600)
    file.write_text(password + "\n")
    daemon.ok("node", "set", node, "--bmc", address, "--bmc-user", user, "--bmc-password-file", str(file))


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# --- what is kept, and what is told of it ---


def test_a_password_that_everybody_may_read_is_refused(daemon):
    file = daemon.work / "open"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o644)
    refused = daemon.refused("node", "set", "web1", "--bmc", "ipmi://10.9.0.5", "--bmc-password-file", str(file))
    assert "everybody may read" in refused and str(file) in refused and PASSWORD not in refused
    missing = daemon.refused("node", "set", "web1", "--bmc-password-file", str(daemon.work / "none"))
    assert "No such file" in missing
    assert daemon.get("/v1/nodes/web1").json["bmc"] is None


def test_an_address_with_a_password_is_not_kept(daemon):
    """It would be in the log, and in what the hook's environment shows."""
    refused = daemon.refused("node", "set", "web1", "--bmc", "ipmi://admin:s3cret@10.9.0.5")
    assert "--bmc-password-file" in refused and "s3cret" not in refused + daemon.output()
    assert daemon.get("/v1/nodes/web1").json["bmc"] is None
    for good in ("ipmi://admin@10.9.0.5:623", "redfish://10.9.0.5:443/redfish/v1/Systems/a:b@c", "ipmi://[fe80::1]:623"):
        set_bmc(daemon, good)


def test_what_is_set_is_shown_without_the_password(daemon):
    set_bmc(daemon, "ipmi://10.9.0.5")
    assert daemon.get("/v1/nodes/web1").json["bmc"] == {
        "address": "ipmi://10.9.0.5", "user": "admin", "password_set": True}
    shown = daemon.ok("node", "show", "web1") + daemon.ok("--json", "node", "show", "web1")
    assert "ipmi://10.9.0.5" in shown and PASSWORD not in shown
    daemon.kill()
    daemon.start()
    assert daemon.get("/v1/nodes/web1").json["bmc"]["password_set"] is True
    # who is asked elsewhere, or as somebody else, is not shown what was meant for another
    daemon.ok("node", "set", "web1", "--bmc", "ipmi://10.9.0.6")
    assert daemon.get("/v1/nodes/web1").json["bmc"] == {
        "address": "ipmi://10.9.0.6", "user": "admin", "password_set": False}
    done = subprocess.run([daemon.program, "node", "set", "web1", "--bmc-password-file", "-"], input=PASSWORD,
                          env={**os.environ, "NODISK_SOCKET": str(daemon.socket)}, text=True, check=True,
                          capture_output=True)
    assert done.stdout == "node web1 is changed\n"
    assert daemon.get("/v1/nodes/web1").json["bmc"]["password_set"] is True
    daemon.ok("node", "set", "web1", "--bmc", "none")
    assert daemon.get("/v1/nodes/web1").json["bmc"] is None
    assert PASSWORD not in daemon.output()


def test_what_is_wrong_is_refused(daemon):
    assert "nodisk node set web1 --bmc" in daemon.refused("node", "power", "web1", "status")
    for address in ("10.9.0.5", "ipmi://", "IPMI://x", "../x://y", "ipmi://a b", "ipmi://$(id)", "-x://y"):
        assert "is no address of a BMC" in daemon.refused("node", "set", "web1", f"--bmc={address}")
    assert "has no BMC yet" in daemon.refused("node", "set", "web1", "--bmc-user", "admin")
    assert "there is no node" in daemon.refused("node", "set", "web2", "--bmc", "ipmi://10.9.0.5")
    assert "none of status" in daemon.usage("node", "power", "web1", "explode")
    assert "say which" in daemon.usage("node", "power", "status")
    set_bmc(daemon, "ipmi://10.9.0.5")
    assert f"there is no hook {daemon.hooks}/ipmi" in daemon.refused("node", "power", "web1", "status")
    install(daemon, "ipmi", "#!/bin/sh\necho no such luck >&2\nexit 1\n")
    said = daemon.refused("node", "power", "web1", "on")
    assert "node 'web1'" in said and "failed (status 1): no such luck" in said
    install(daemon, "ipmi", "#!/bin/sh\necho power=maybe\n")
    assert "something else than power=on" in daemon.refused("node", "power", "web1", "status")


def test_a_hook_has_the_secret_and_nobody_else(daemon):
    seen = daemon.work / "seen"
    install(daemon, "test", f"""#!/bin/sh
{{ env; tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$PPID/cmdline; cat; }} > {seen}
cat /dev/fd/3 > {seen}.secret
echo power=on
""")
    set_bmc(daemon, "test://[2001:db8::5]:99/x/y")
    assert daemon.ok("node", "power", "web1", "status") == "web1: on\n"
    assert Path(f"{seen}.secret").read_text() == PASSWORD
    text = seen.read_text()
    assert PASSWORD not in text and "p w" not in text
    for line in ("NODISK_BMC_HOST=2001:db8::5", "NODISK_BMC_PORT=99", "NODISK_BMC_USER=admin", "NODISK_ACTION=status",
                 "NODISK_BMC_ADDRESS=test://[2001:db8::5]:99/x/y", "NODISK_NODE=web1"):
        assert line in text.splitlines()


def test_groups_are_switched_one_after_the_other(daemon):
    times = daemon.work / "times"
    install(daemon, "test", f"#!/bin/sh\necho \"$NODISK_NODE $(date +%s.%N)\" >> {times}\n[ $NODISK_NODE != web2 ]\n")
    daemon.ok("group", "add", "rack1")
    for n in (2, 3, 4):
        daemon.ok("node", "add", f"web{n}", "--mac", f"52:54:00:5e:00:0{n}", "--group", "rack1")
        set_bmc(daemon, f"test://10.9.0.{n}", node=f"web{n}")
    done = daemon.cli("node", "power", "--group", "rack1", "on", "--interval", "1s")
    assert done.returncode == 1 and done.stdout == "web3: on done\nweb4: on done\n" and "web2" in done.stderr
    switched = [line.split() for line in times.read_text().splitlines()]
    assert [name for name, _ in switched] == ["web2", "web3", "web4"]
    moments = [float(at) for _, at in switched]
    assert all(later - earlier >= 0.9 for earlier, later in zip(moments, moments[1:]))
    answer = json.loads(daemon.ok("--json", "node", "power", "web3", "web4", "off"))
    assert answer == {"nodes": [{"node": name, "action": "off", "power": None} for name in ("web3", "web4")]}


# --- IPMI ---


class IpmiSim:
    """OpenIPMI's ipmi_sim: a BMC on a port of loopback, whose chassis is a file with 0 or 1 in it."""

    def __init__(self, work: Path, password: str) -> None:
        self.port, self.state = free_port(socket.SOCK_DGRAM), work / "chassis"
        self.state.write_text("0")
        control = work / "control"
        control.write_text(f"""#!/bin/sh
# ipmi_sim calls: control BMC-ADDRESS get|set|check WHAT [VALUE]
echo "$@" >> {work}/control.log
shift
case $1-$2 in
get-power) echo "power:$(cat {self.state})" ;;
set-power) printf %s "$3" > {self.state} ;;
set-reset) printf 1 > {self.state} ;;
esac
exit 0
""")
        control.chmod(0o755)
        (work / "lan.conf").write_text(f"""name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {self.port}
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{control} 0x20"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "admin" "{password}" admin 10 none md2 md5 straight
""")
        (work / "bmc.emu").write_text(
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n")
        self.log = (work / "sim.log").open("w")
        self.process = subprocess.Popen(
            ["ipmi_sim", "-c", work / "lan.conf", "-f", work / "bmc.emu", "-s", work / "sim", "-n"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def ipmi(tmp_path):
    if not shutil.which("ipmi_sim") or not shutil.which("ipmitool"):
        pytest.skip("needs ipmi_sim (openipmi) and ipmitool")
    work = tmp_path / "ipmi"
    work.mkdir()
    sim = IpmiSim(work, "secret-of-16-max")
    yield sim
    sim.close()


def test_ipmi_against_its_simulator(daemon, ipmi):
    install(daemon, "ipmi")
    set_bmc(daemon, f"ipmi://127.0.0.1:{ipmi.port}", password="secret-of-16-max")

    def power(action: str) -> str:
        return daemon.ok("node", "power", "web1", action)

    def is_up() -> bool:
        assert ipmi.process.poll() is None, Path(ipmi.log.name).read_text()
        return daemon.cli("node", "power", "web1", "status").returncode == 0

    wait_until(is_up, "the simulator", seconds=120)
    assert power("status") == "web1: off\n"
    assert power("on") == "web1: on done\n" and ipmi.state.read_text() == "1"
    assert power("status") == "web1: on\n"
    assert power("reset") == "web1: reset done\n" and ipmi.state.read_text() == "1"
    assert power("cycle") == "web1: cycle done\n"
    wait_until(lambda: power("status") == "web1: on\n", "it to be on again", seconds=120)
    assert power("off") == "web1: off done\n" and ipmi.state.read_text() == "0"
    assert power("status") == "web1: off\n"
    set_bmc(daemon, f"ipmi://127.0.0.1:{ipmi.port}", password="wrong")
    assert "failed (status 1)" in daemon.refused("node", "power", "web1", "status")
    assert "secret-of" not in daemon.output()


# --- Redfish ---


class Redfish(http.server.BaseHTTPRequestHandler):
    """As DSP0266 has it: the collection, the system with its actions, Reset."""

    state, allowed, requests = "Off", ["On", "ForceOff", "ForceRestart", "GracefulShutdown", "PowerCycle"], []

    def reply(self, status: int, body: dict | None = None) -> None:
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def may(self) -> bool:
        wanted = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == wanted:
            return True
        self.reply(401, {"error": {"code": "Base.1.0.NoValidSession"}})
        return False

    def do_GET(self) -> None:
        if not self.may():
            return
        system = "/redfish/v1/Systems/437XR1138R2"
        if self.path == "/redfish/v1/Systems":
            self.reply(200, {"Members@odata.count": 1, "Members": [{"@odata.id": system}]})
        elif self.path == system:
            self.reply(200, {"@odata.id": system, "PowerState": type(self).state, "Actions": {
                "#ComputerSystem.Reset": {"target": f"{system}/Actions/ComputerSystem.Reset",
                                          "ResetType@Redfish.AllowableValues": self.allowed}}})
        else:
            self.reply(404, {})

    def do_POST(self) -> None:
        if not self.may():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, body))
        type(self).state = "Off" if body["ResetType"] in ("ForceOff", "GracefulShutdown") else "On"
        self.reply(204)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def redfish():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redfish)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Redfish.state = "Off"
    Redfish.requests.clear()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_redfish(daemon, redfish):
    shipped = (SHIPPED / "redfish").read_text()
    install(daemon, "redfish", shipped.replace('"NODISK_REDFISH_SCHEME", "https"', '"NODISK_REDFISH_SCHEME", "http"'))
    set_bmc(daemon, f"redfish://127.0.0.1:{redfish}")
    assert daemon.ok("node", "power", "web1", "status") == "web1: off\n"
    for action, reset in (("on", "On"), ("soft", "GracefulShutdown"), ("cycle", "PowerCycle"), ("reset", "ForceRestart"),
                          ("off", "ForceOff")):
        assert daemon.ok("node", "power", "web1", action) == f"web1: {action} done\n"
        assert Redfish.requests[-1] == ("/redfish/v1/Systems/437XR1138R2/Actions/ComputerSystem.Reset",
                                        {"ResetType": reset})
    set_bmc(daemon, f"redfish://127.0.0.1:{redfish}/redfish/v1/Systems/437XR1138R2")
    assert daemon.ok("node", "power", "web1", "status") == "web1: off\n"
    set_bmc(daemon, f"redfish://127.0.0.1:{redfish}", password="wrong")
    assert "401" in daemon.refused("node", "power", "web1", "status")
    assert PASSWORD not in daemon.output()


# --- ssh ---


class Ssh:
    """Dropbear, which lets root in by one key, and writes down what it was asked to do instead of doing it."""

    def __init__(self, work: Path) -> None:
        home, host_key = work / "root", work / "host"
        self.key, self.known, self.asked, self.port = work / "key", work / "known", work / "asked", free_port(
            socket.SOCK_STREAM)
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        shutil.copy(f"{self.key}.pub", home / ".ssh" / "authorized_keys")
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", host_key], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run(["dropbearkey", "-y", "-f", host_key], check=True, text=True, stdout=subprocess.PIPE)
        public = next(line for line in said.stdout.splitlines() if line.startswith("ssh-ed25519"))
        self.known.write_text(f"[127.0.0.1]:{self.port} {' '.join(public.split()[:2])}\n")
        self.log = (work / "dropbear.log").open("w")
        # in a mount namespace, where this is root's home
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /root && shift && exec "$@"', "sh", home,
             "dropbear", "-F", "-E", "-s", "-r", host_key, "-P", work / "pid", "-p", f"127.0.0.1:{self.port}",
             "-c", f'echo "$SSH_ORIGINAL_COMMAND" >> {self.asked}'],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def ssh(tmp_path):
    need("dropbear", "dropbearkey", "ssh", "ssh-keygen")
    work = tmp_path / "ssh"
    work.mkdir()
    server = Ssh(work)
    yield server
    server.close()


def test_ssh(daemon, ssh):
    shipped = (SHIPPED / "ssh").read_text()
    install(daemon, "ssh", shipped.replace("/etc/nodisk/ssh/id_ed25519", str(ssh.key)).replace(
        "/etc/nodisk/ssh/known_hosts", str(ssh.known)))
    set_bmc(daemon, f"ssh://127.0.0.1:{ssh.port}", user="root")
    wait_until(lambda: daemon.ok("node", "power", "web1", "status") == "web1: on\n", "dropbear")
    for action, command in (("soft", "poweroff"), ("off", "poweroff"), ("reset", "reboot"), ("cycle", "reboot")):
        assert daemon.ok("node", "power", "web1", action) == f"web1: {action} done\n"
        assert ssh.asked.read_text().splitlines()[-1] == f"systemctl {command} || {command}"
    assert "nodisk node wake web1" in daemon.refused("node", "power", "web1", "on")
    # another machine's host key is no node of ours
    ssh.known.write_text(ssh.known.read_text().replace("AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAAC3NzaC1lZDI1NTE5AAAAJ"))
    before = ssh.asked.read_text()
    assert "failed (status 255)" in daemon.refused("node", "power", "web1", "reset")
    assert ssh.asked.read_text() == before
