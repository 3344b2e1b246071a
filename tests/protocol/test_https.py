"""HTTPS beside HTTP, with curl and openssl: its certificate, who is sent there, and what goes out there only."""

import contextlib
import os
import socket
import ssl
import subprocess
import time

import pytest
from daemon import Daemon, wait_until
from netlab import SERVER, SUBNET, Client, Wire, inside

from lab.authority import HTTPS, Authority

NODE, NODE_ADDRESS = "52:54:00:10:00:01", "10.0.0.11"
OTHER, OTHER_ADDRESS = "52:54:00:10:00:02", "10.0.0.12"
#: What iPXE says of itself in option 175 (its include/ipxe/features.h): HTTP, and HTTPS.
HAS_HTTP, HAS_HTTPS = b"\x13\x01\x01", b"\x14\x01\x01"
DEFAULT = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:+RSA:+AES-128-CBC:+AES-256-CBC:+SHA1"
BROWSER = ("-A", "iPXE/1.21.1+")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def section(authority: Authority, more: str = "", **how) -> str:
    return authority.configure(SERVER, f"IP:{SERVER}", more=more, **how) + SUBNET


def boot_path(mac: str) -> str:
    return f"/boot.ipxe?mac={mac.replace(':', '-')}"


def script_url(mac: str, scheme: str) -> str:
    return f"{scheme}://{SERVER}{boot_path(mac)}"


def curl(machine, authority: Authority, url: str, *words: str) -> tuple[int, str]:
    """Status and body; 0 and the error if nothing came of it."""
    done = machine.run("curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "--cacert",
                       str(authority.certificate), *words, url, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return (int(status), body) if done.returncode == 0 else (0, done.stderr)


def add_nodes(daemon) -> None:
    for name, mac, address in (("web1", NODE, NODE_ADDRESS), ("web2", OTHER, OTHER_ADDRESS)):
        assert daemon.post("/v1/volumes", name=name, size=1 << 20).result
        assert daemon.post("/v1/nodes", name=name, macs=[mac], address=address, volume=name).result


@contextlib.contextmanager
def machine_of(lab, mac: str = NODE, address: str = NODE_ADDRESS, features: bytes = HAS_HTTP):
    """A node that boots by iPXE: its namespace, and what DHCP has told it."""
    machine = lab.client()
    wire = Wire(machine)
    client = Client(wire, mac)
    client.extra = {77: b"iPXE", 175: features}
    assert client.lease() == address
    machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    try:
        yield machine, client.ack
    finally:
        wire.close()


# --- the certificate ---


def config_of(daemon: Daemon, text: str) -> subprocess.CompletedProcess:
    daemon.write_config(text)
    return daemon.cli("serve", "--check", "--config", daemon.config)


def test_what_is_wrong_with_a_certificate_is_told_before_the_start(tmp_path, authority):
    """By --check and at start: a file that is not there, no certificate, another's key, one that all can read."""
    daemon = Daemon(tmp_path / "daemon")
    certificate, key = authority.issue("one")
    other_certificate, other_key = authority.issue("two")
    nothing, open_key, locked, turned = (tmp_path / name for name in ("nothing", "open.key", "locked.key", "turned.crt"))
    nothing.write_text("nothing\n")
    open_key.write_bytes(key.read_bytes())
    open_key.chmod(0o644)
    turned.write_text(authority.certificate.read_text() + certificate.read_text())
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:word", "-out", locked], check=True)
    wrong = [
        (tmp_path / "none", key, "the certificate cannot be read from", "No such file"),
        (tmp_path, key, "the certificate cannot be read from", "Invalid argument"),
        (certificate, tmp_path / "none", "[https]: key: the secret cannot be read from", "No such file"),
        (nothing, key, "has no certificate in PEM", str(nothing)),
        (certificate, nothing, "has no private key in PEM", ""),
        (certificate, other_key, f"the private key in {other_key} is not that of the first certificate in", ""),
        (certificate, open_key, f"[https]: key: everybody may read the secret in {open_key}", "chmod 600"),
        (certificate, locked, "has a password", "take it off"),
        (turned, key, "each certificate must be followed by that of who has signed it", ""),
    ]
    nothing.chmod(0o600)
    for a_certificate, a_key, *told in wrong:
        text = HTTPS.format(certificate=a_certificate, key=a_key) + "listen = 127.0.0.1:0\n"
        checked = config_of(daemon, text)
        assert checked.returncode == 1 and all(words in checked.stderr for words in told), checked.stderr
    said = daemon.fail_to_start()
    assert "each certificate must be followed" in said
    for more, told in (("priorities = NORMAL:+NONSENSE\n", "'+NONSENSE'"), ("require = perhaps\n", "no, secrets or yes"),
                       ("name = a_b\n", "domain name"), ("nonsense = 1\n", "no such key"), ("listen = x\n", "ADDRESS:PORT")):
        checked = config_of(daemon, HTTPS.format(certificate=certificate, key=key) + more)
        assert checked.returncode == 1 and told in checked.stderr, checked.stderr
    for text, told in ((f"[https]\ncertificate = {certificate}\n", "certificate: needs its key"),
                       (f"[https]\nkey = {key}\n", "key: needs a certificate"),
                       ("[https]\nrequire = yes\n", "require: needs a certificate")):
        checked = config_of(daemon, text)
        assert checked.returncode == 1 and told in checked.stderr, checked.stderr


def test_one_that_has_ended_or_ends_soon_is_told_once(lab, authority):
    daemon = lab.daemon(section(authority, days=-1))
    daemon.wait_line("has ended", "renew it, and reload nodisk")
    daemon.reload()
    assert len(daemon.lines("has ended")) == 1
    assert "it has ended, and machines refuse it" in daemon.ok("status")
    machine = lab.client("10.0.0.50/24")
    status, error = curl(machine, authority, script_url(NODE, "https"))
    assert status == 0 and "expired" in error
    daemon.write_config(section(authority, days=5, kind="ec"))
    daemon.reload()
    daemon.wait_line("ends soon")
    daemon.wait_line("has no RSA key")
    told = daemon.get("/v1/status").json["https"]
    assert told["certificate"] and 4 * 86400e6 < told["ends"] - time.time() * 1e6 < 6 * 86400e6
    assert told["begins"] < time.time() * 1e6 and "renew it soon" in daemon.ok("status")
    assert curl(machine, authority, script_url(NODE, "https"))[0] == 200
    daemon.write_config(authority.configure("elsewhere", "IP:10.0.0.2") + SUBNET)
    daemon.reload()
    daemon.reload()
    daemon.wait_line("know this server as 10.0.0.1, which the certificate of [https] (of elsewhere) is not for")


def test_a_renewed_certificate_counts_after_a_reload(lab, authority):
    """For who comes then; a connection that was there goes on, and one that is wrong changes nothing."""
    certificate, key = authority.issue(SERVER, f"IP:{SERVER}")
    daemon = lab.daemon(HTTPS.format(certificate=certificate, key=key) + SUBNET)
    machine = lab.client("10.0.0.50/24")
    context = ssl.create_default_context(cafile=authority.certificate)
    request = f"GET {boot_path(NODE)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

    def connect() -> ssl.SSLSocket:
        with inside(machine):
            raw = socket.create_connection((SERVER, 443), timeout=60)
        return context.wrap_socket(raw, server_hostname=SERVER)

    def serial(s: ssl.SSLSocket) -> str:
        return s.getpeercert()["serialNumber"]

    with connect() as first:
        for renew in (authority.issue(SERVER, f"IP:{SERVER}"), authority.issue(SERVER, f"IP:{SERVER}")):
            for old, new in zip((certificate, key), renew, strict=True):
                old.write_bytes(new.read_bytes())
            daemon.reload()
            with connect() as now:
                newest = serial(now)
                assert newest != serial(first)
        first.sendall(request)
        assert first.recv(4096).startswith(b"HTTP/1.1 200")
        key.write_text("nothing\n")
        daemon.reload()
        daemon.wait_line("configuration not reloaded", "has no private key in PEM")
        with connect() as still:
            assert serial(still) == newest
    assert len(daemon.lines("https: the certificate of 10.0.0.1 counts")) == 3
    daemon.write_config(SUBNET)
    daemon.reload()
    daemon.wait_line("what [https] says changes only with a restart")
    assert curl(machine, authority, script_url(NODE, "https"))[0] == 200


@pytest.mark.parametrize("words, works", [
    (("--tls-max", "1.2", "--ciphers", "AES128-SHA@SECLEVEL=0"), True),  # what iPXE of 2019 has
    (("--tls-max", "1.2", "--ciphers", "AES256-SHA@SECLEVEL=0"), True),
    (("--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"), True),
    (("--tlsv1.3",), True),
    (("--tls-max", "1.1", "--ciphers", "ALL@SECLEVEL=0"), False),
    (("--tls-max", "1.2", "--ciphers", "NULL@SECLEVEL=0"), False),
    (("--tls-max", "1.2", "--ciphers", "AES128-SHA:aNULL@SECLEVEL=0", "--cacert", "/etc/nonsense"), False),
])
def test_versions_and_ciphers(lab, authority, words, works):
    lab.daemon(section(authority))
    machine = lab.client("10.0.0.50/24")
    assert curl(machine, authority, script_url(NODE, "https"), *words)[0] == (200 if works else 0)


def test_other_priorities(lab, authority):
    lab.daemon(section(authority, "priorities = NORMAL:-VERS-ALL:+VERS-TLS1.3\n"))
    machine = lab.client("10.0.0.50/24")
    assert curl(machine, authority, script_url(NODE, "https"))[0] == 200
    assert curl(machine, authority, script_url(NODE, "https"), "--tls-max", "1.2")[0] == 0


def test_without_what_old_ipxe_needs(lab, authority):
    """As nodisk.conf(5) says."""
    lab.daemon(section(authority, f"priorities = {DEFAULT}:-RSA:-SHA1\n"))
    machine, url = lab.client("10.0.0.50/24"), script_url(NODE, "https")
    assert curl(machine, authority, url, "--tls-max", "1.2", "--ciphers", "AES128-SHA@SECLEVEL=0")[0] == 0
    assert curl(machine, authority, url, "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-SHA@SECLEVEL=0")[0] == 0
    assert curl(machine, authority, url, "--tls-max", "1.2")[0] == 200


# --- who is sent there ---


def test_ipxe_that_has_https_is_sent_there_and_stays_there(lab, authority):
    """All that it fetches itself; what an installer fetches is given by HTTP."""
    daemon = lab.daemon(section(authority))
    add_nodes(daemon)
    with machine_of(lab, features=HAS_HTTP + HAS_HTTPS) as (machine, ack):
        assert ack.file.decode() == script_url(NODE, "https")
        status, script = curl(machine, authority, script_url(NODE, "https"), *BROWSER)
        assert status == 200 and f"chain --timeout 30000 https://{SERVER}/direct.ipxe?mac=" in script
        assert "http://" not in script
        script = curl(machine, authority, script_url(NODE, "http"), *BROWSER)[1]
        assert "set hostname web1\n" in script and "https://" not in script  # nothing requires it
    for features in (HAS_HTTP, b"\x14\x01\x00", b"\x14", HAS_HTTPS[:2], b"\x14\x05\x01", b""):
        with machine_of(lab, OTHER, OTHER_ADDRESS, features) as (_, ack):
            assert ack.file.decode() == script_url(OTHER, "http"), features


def test_firmware_that_hands_its_answer_on_tries_both(lab, authority):
    """Option 175 of its answer, for a loader that asks DHCP no more: of what it can, firmware knew nothing."""
    add_nodes(lab.daemon(section(authority)))
    wire = Wire(lab.client())
    firmware = Client(wire, NODE)
    firmware.extra = {57: b"\x05\xc0", 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
    assert firmware.lease() == NODE_ADDRESS
    wire.close()
    text = firmware.ack.options[175].decode("latin-1")
    assert (f"chain {script_url(NODE, 'https')} || chain {script_url(NODE, 'http')} || autoboot" in text
            and text.endswith(" || reboot"))


def test_a_name_stands_in_the_urls(lab, authority):
    name = "boot." + "a" * 60 + ".example"
    certificate = authority.configure("boot", f"DNS:{name}", more=f"name = {name}\nlisten = {SERVER}:8443\n")
    daemon = lab.daemon(certificate + SUBNET)
    add_nodes(daemon)
    with machine_of(lab, features=HAS_HTTPS) as (machine, ack):
        url = f"https://{name}:8443{boot_path(NODE)}"
        assert ack.file.decode() == url
        status, script = curl(machine, authority, url, "--resolve", f"{name}:8443:{SERVER}")
        assert status == 200 and f"https://{name}:8443/direct.ipxe" in script and "http://" not in script
    assert not daemon.lines("is not for")
    assert "dport 8443 jump ours comment \"HTTPS\"" in daemon.ok("export", "firewall")


@pytest.mark.parametrize("more, scheme", [("", "http"), ("installers = yes\n", "https")])
def test_what_an_installer_fetches(lab, authority, tmp_path, more, scheme):
    """By HTTP, since it does not know who signed; by HTTPS if that is said, and required then."""
    daemon = lab.daemon(section(authority, "require = yes\n" + more))
    add_nodes(daemon)
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(b"\0" * 64)
    (tmp_path / "preseed").write_text("root {{answer-url}} {{installed-url}}\n")
    daemon.ok("entry", "add", "deb", "--kernel", tmp_path / "kernel", "--initrd", tmp_path / "initrd",
              "--preseed", tmp_path / "preseed")
    daemon.ok("boot", "web1", "entry:deb")
    with machine_of(lab, features=HAS_HTTPS) as (machine, _):
        script = curl(machine, authority, script_url(NODE, "https"), *BROWSER)[1]
        base = f"{scheme}://{SERVER}/install/{NODE.replace(':', '-')}/deb/"
        assert f"url={base}preseed.cfg" in script, script
        assert f"https://{SERVER}/entry/deb/kernel?mac=" in script
        kernel = f"://{SERVER}/entry/deb/kernel?mac={NODE}"
        assert curl(machine, authority, "https" + kernel)[0] == 200
        assert curl(machine, authority, "http" + kernel)[0] == 403
        assert curl(machine, authority, base + "preseed.cfg") == (200, f"root {base} {base}installed\n")
        plain = base.replace("https", "http") + "preseed.cfg"
        assert curl(machine, authority, plain)[0] == (200 if scheme == "http" else 403)


# --- what goes out there only ---


def test_secrets_go_out_over_https_only(lab, authority):
    """A node with CHAP; the other one has none and boots as before."""
    daemon = lab.daemon(section(authority, "require = secrets\n"))
    add_nodes(daemon)
    daemon.ok("node", "set", "web1", "--chap", "one-way")
    with machine_of(lab) as (machine, ack):
        assert ack.file.decode() == script_url(NODE, "http")
        status, script = curl(machine, authority, script_url(NODE, "http"), *BROWSER)
        assert status == 200 and "password" not in script and "iqn." not in script
        assert f"chain --timeout 30000 --replace {script_url(NODE, 'https')} ||\n" in script
        assert "this iPXE cannot fetch from https://10.0.0.1" in script
        assert not daemon.lines("cannot boot: its iPXE")
        again = f"{script_url(NODE, 'http')}&https=failed"
        assert again in script and curl(machine, authority, again, *BROWSER)[1] == script
        daemon.wait_line("web1: https: the machine at 10.0.0.11 cannot boot: its iPXE cannot fetch its script")
        assert curl(machine, authority, f"http://{SERVER}/direct.ipxe?mac={NODE}")[0] == 403
        status, script = curl(machine, authority, script_url(NODE, "https"), *BROWSER)
        assert "set username web1\n" in script and "set password " in script
    with machine_of(lab, OTHER, OTHER_ADDRESS) as (machine, _):
        assert "set hostname web2\n" in curl(machine, authority, script_url(OTHER, "http"), *BROWSER)[1]


def test_all_that_is_booted_goes_out_over_https_only(lab, authority):
    daemon = lab.daemon(section(authority, "require = yes\n"))
    add_nodes(daemon)
    with machine_of(lab) as (machine, _):
        for mac in (NODE, OTHER, "52:54:00:99:99:99"):
            status, script = curl(machine, authority, script_url(mac, "http"), *BROWSER)
            assert status == 200 and "web" not in script and f"--replace {script_url(mac, 'https')}" in script
        for path in ("direct.ipxe", "direct/kernel", "entry/none/kernel", "memtest.bin"):
            assert curl(machine, authority, f"http://{SERVER}/{path}?mac={NODE}")[0] == 403, path
        assert "set hostname web1\n" in curl(machine, authority, script_url(NODE, "https"), *BROWSER)[1]
        # somebody else's HTTPS is no better than his HTTP
        assert "web2" not in curl(machine, authority, script_url(OTHER, "https"), *BROWSER)[1]
        assert "this iPXE has no HTTPS, by which alone boot scripts are given" in daemon.ok("loaders", "list")
        # what firmware and running systems ask for
        assert curl(machine, authority, f"http://{SERVER}/loaders/undionly.kpxe", "-o", "/dev/null")[0] == 200
        assert curl(machine, authority, f"http://{SERVER}/up?mac={NODE}", "-d", "")[0] == 200


# --- hostile ---


#: The beginning of a ClientHello that never ends.
HALF = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 40
GARBAGE = [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100, b"\xff" * 20000, b"\x16\x03\x01\xff\xff" + b"a" * 70000,
           b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x00\x02" + b"a" * 60]


def test_garbage_is_dropped_counted_and_told_once(lab, authority):
    daemon = lab.daemon(section(authority))
    machine = lab.client("10.0.0.50/24")
    for data in GARBAGE * 3:
        with inside(machine), socket.create_connection((SERVER, 443), timeout=60) as s:
            s.settimeout(1)
            with contextlib.suppress(OSError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
    assert curl(machine, authority, script_url(NODE, "https"))[0] == 200
    wait_until(lambda: daemon.get("/v1/status").json["counters"]["http"]["dropped"] == 3 * len(GARBAGE), "dropped", 60)
    assert len(daemon.lines("https: 10.0.0.50 connected and sent no whole request")) == 1


def test_silent_and_half_open_handshakes_hold_up_nobody(lab, authority):
    """More of them, from as many addresses, than there are connections: HTTP and others' HTTPS go on."""
    daemon = lab.daemon(section(authority))
    hog, good = lab.client("10.0.1.50/16"), lab.client("10.0.0.51/24")
    lab.server.run("ip", "addr", "add", "10.0.0.2/16", "dev", "br0")
    addresses = [f"10.0.{2 + i // 100}.{1 + i % 100}" for i in range(132)]
    for address in addresses:
        hog.run("ip", "addr", "add", f"{address}/16", "dev", "eth0")
    held = []
    before = descriptors(daemon)
    try:
        with inside(hog):
            for address in addresses:
                for i in range(16):
                    s = socket.create_connection((SERVER, 443), timeout=60, source_address=(address, 0))
                    s.sendall(HALF if i % 2 else b"")
                    held.append(s)
        assert len(held) > 2048
        for _ in range(3):
            assert curl(good, authority, script_url(NODE, "https"))[0] == 200
            assert curl(good, authority, script_url(NODE, "http"))[0] == 200
        assert descriptors(daemon) < before + 2048 + 64
    finally:
        for s in held:
            s.close()
    wait_until(lambda: descriptors(daemon) < before + 16, lambda: f"{descriptors(daemon)} descriptors", 60)


def descriptors(daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def test_one_peer_that_shakes_hands_for_ever_holds_up_nobody(lab, authority):
    """Whole handshakes one after the other, by eight at once, each of which costs the server a signature."""
    lab.daemon(section(authority))
    hog, good = lab.client("10.0.0.50/24"), lab.client("10.0.0.51/24")
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            process = subprocess.Popen(
                ["ip", "netns", "exec", hog.name, "openssl", "s_time", "-connect", f"{SERVER}:443", "-new", "-time", "60"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        began = time.monotonic()
        while time.monotonic() < began + 3:
            assert curl(good, authority, script_url(NODE, "https"))[0] == 200
            assert curl(good, authority, script_url(NODE, "http"))[0] == 200
