"""The admin API and what it keeps, over the real daemon."""

import json
import os
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from daemon import BASE_IQN, Daemon, UnixConnection, make_image, mounted, plain_program, wait_until


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path / "d") as d:
        yield d


@pytest.fixture
def tmpfs(tmp_path):
    """A file system of 4 MiB."""
    with mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", place=tmp_path / "small") as place:
        yield place


def names(answer, what):
    return [x["name"] for x in answer.json[what]]


def mac(n):
    return f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}"


# --- nodes, groups ---


def test_a_node_from_birth_to_end(daemon):
    daemon.post("/v1/groups", name="rack1")
    node = daemon.post("/v1/nodes", name="web1", macs=[mac(2), mac(1)], group="rack1").result
    assert node["macs"] == [mac(2), mac(1)] and node["group"] == "rack1"
    assert node["initiator"] == f"{BASE_IQN}:web1" and node["volume"] is None
    changed = daemon.patch("/v1/nodes/web1", address="192.0.2.9", group=None, macs=[mac(3)]).result
    assert changed["address"] == "192.0.2.9" and changed["group"] is None
    assert changed["macs"] == [mac(3)]
    assert daemon.get("/v1/nodes/web1").json["boots"] == []
    assert daemon.delete("/v1/nodes/web1").status == 200
    assert daemon.get("/v1/nodes/web1").status == 404


@pytest.mark.parametrize("body, status, words", [
    ({"name": "web1", "macs": [mac(9)]}, 409, "there is a node 'web1' already"),
    ({"name": "web2", "macs": [mac(1)]}, 409, f"mac {mac(1)} already belongs to node 'web1'"),
    ({"name": "web2", "macs": [mac(9)], "address": "192.0.2.9"}, 409, "belongs to node 'web1'"),
    ({"name": "web2", "macs": [mac(9)], "address": "127.0.0.1"}, 400, "cannot be a machine's"),
    ({"name": "web2", "macs": [mac(9)], "group": "x"}, 404, "nodisk group add x"),
    ({"name": "web2", "macs": [mac(9)], "volume": "x"}, 404, "no volume 'x'"),
    ({"name": "web2", "macs": [mac(9)], "image": "x"}, 404, "no image 'x'; import it first"),
    ({"name": "web2", "macs": [mac(9)], "image": "x", "volume": "y"}, 400, "not both"),
    ({"name": "web2", "macs": []}, 400, "1 to 16 macs"),
    ({"name": "web2", "macs": [mac(9), mac(9)]}, 400, "is given twice"),
    ({"name": "web2", "macs": ["01:00:5e:00:00:01"]}, 400, "not a mac address"),
    ({"name": "Web2", "macs": [mac(9)]}, 400, "cannot be a node's name"),
    ({"name": "a" * 64, "macs": [mac(9)]}, 400, "cannot be a node's name"),
    ({"name": "web2", "macs": [mac(9)], "colour": "red"}, 400, "no key 'colour'"),
    ({"macs": [mac(9)]}, 400, "'name' is missing"),
])
def test_a_node_that_is_refused(daemon, body, status, words):
    daemon.post("/v1/nodes", name="web1", macs=[mac(1)], address="192.0.2.9")
    answer = daemon.request("POST", "/v1/nodes", body)
    assert answer.status == status and words in answer.error
    assert names(daemon.get("/v1/nodes"), "nodes") == ["web1"]


def test_addresses_are_held_to_the_subnets_also_after_a_reload(tmp_path):
    daemon = Daemon(tmp_path / "d")
    off = "[subnet a]\nmode = off\ninterface = lo\nnetwork = {}\n"
    daemon.write_config(off.format("192.0.2.0/24"))
    with daemon:
        answer = daemon.post("/v1/nodes", name="a", macs=[mac(1)], address="198.51.100.1")
        assert answer.status == 400 and "in no configured subnet" in answer.error
        assert daemon.post("/v1/nodes", name="a", macs=[mac(1)], address="192.0.2.1").result
        daemon.write_config(off.format("198.51.100.0/24"))
        daemon.process.send_signal(1)
        daemon.wait_line("configuration reloaded")
        assert daemon.patch("/v1/nodes/a", address="198.51.100.1").result


# --- the protocol ---


@pytest.mark.parametrize("method, path, raw, status", [
    ("GET", "/", None, 404),
    ("GET", "/v1/nodes/", None, 404),
    ("GET", "/v1/nodes/a/b", None, 404),
    ("GET", "/v1/nodes/%2e%2e%2fx", None, 404),
    ("PUT", "/v1/nodes", b"{}", 405),
    ("POST", "/v1/status", b"{}", 405),
    ("POST", "/v1/nodes", b"", 400),
    ("POST", "/v1/nodes", b"{", 400),
    pytest.param("POST", "/v1/nodes", b"[" * 50000, 400, id="deep"),
    pytest.param("POST", "/v1/nodes", b'{"name": "\xff"}', 400, id="no UTF-8"),
    pytest.param("POST", "/v1/nodes", b"x" * 200000, 413, id="large"),
    ("DELETE", "/v1/nodes/a?with-volume=perhaps", None, 400),
])
def test_a_request_that_makes_no_sense(daemon, method, path, raw, status):
    answer = daemon.request(method, path, raw=raw)
    assert answer.status == status and answer.error


def test_a_connection_that_says_nothing_or_nonsense_harms_nobody(daemon):
    silent = []
    for text in (b"", b"GET", b"\0" * 4096, b"POST /v1/nodes HTTP/1.1\r\nContent-Length: 10\r\n\r\n"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(daemon.socket))
        s.sendall(text)
        silent.append(s)
    assert daemon.get("/v1/status").status == 200
    for s in silent:
        s.close()


def test_the_status_tells_what_there_is(daemon):
    daemon.post("/v1/nodes", name="web1", macs=[mac(1)])
    status = daemon.get("/v1/status").json
    assert status["counts"] == {"nodes": 1, "images": 0, "volumes": 0}
    assert status["nodes"][0]["boot"] is None
    assert 0 < status["space"]["free"] <= status["space"]["total"]
    assert daemon.get("/v1/leases").json == {"leases": []}


def test_events_begin_with_a_snapshot_and_end_with_the_daemon(daemon):
    daemon.post("/v1/nodes", name="web1", macs=[mac(1)])
    connection = UnixConnection(daemon.socket)
    connection.request("GET", "/v1/events")
    response = connection.getresponse()
    first = json.loads(response.readline())
    assert first["event"] == "snapshot" and first["nodes"][0]["name"] == "web1"
    daemon.stop()
    assert response.readline() == b""


def test_watchers_that_left_make_room_for_others(daemon):
    for _ in range(3):
        watchers = [UnixConnection(daemon.socket) for _ in range(32)]
        for w in watchers:
            w.request("GET", "/v1/events")
            w.response = w.getresponse()
            assert w.response.status == 200
        assert daemon.get("/v1/events").status == 409
        for w in watchers:
            w.response.close()
            w.close()
        wait_until(lambda: is_watchable(daemon), "the watchers to be gone")


def is_watchable(daemon):
    w = UnixConnection(daemon.socket)
    w.request("GET", "/v1/events")
    response = w.getresponse()
    response.close()
    w.close()
    return response.status == 200


# --- images and volumes ---


def test_an_import_tells_its_progress_and_its_result(daemon, tmp_path):
    image = make_image(tmp_path / "image")
    answer = daemon.post("/v1/images", name="debian12", path=str(image))
    assert answer.type == "application/x-ndjson"
    assert [list(line) for line in answer.lines[:-1]] == [["progress"]] * (len(answer.lines) - 1)
    result = answer.result
    assert result["reference"] == "debian12@1" and result["size"] == 8 << 20
    assert result["used"] < 1 << 20
    copy = daemon.state / "images/debian12/1.raw"
    assert copy.read_bytes() == image.read_bytes() and copy.stat().st_mode & 0o777 == 0o444
    assert daemon.get("/v1/images/debian12").json["versions"] == [result]


def test_a_node_with_a_disk_of_its_own(daemon, tmp_path):
    image = make_image(tmp_path / "image")
    daemon.post("/v1/images", name="debian12", path=str(image))
    node = daemon.post("/v1/nodes", name="web1", macs=[mac(1)], image="debian12@1").result
    assert (node["volume"], node["volume_state"], node["image"]) == ("web1", "ready", "debian12@1")
    volume = daemon.get("/v1/volumes/web1").json
    assert volume["nodes"] == ["web1"] and volume["target"] == f"{BASE_IQN}:web1"
    assert volume["kind"] == "overlay" and volume["size"] == image.stat().st_size and volume["used"] == 0
    assert "is the disk of node 'web1'" in daemon.delete("/v1/volumes/web1").error
    other = daemon.post("/v1/nodes", name="web2", macs=[mac(2)], volume="web1")
    assert other.status == 409 and "already the disk of node 'web1'" in other.error
    assert "has the disk 'web1' already" in daemon.patch("/v1/nodes/web1", image="debian12").error
    assert daemon.delete("/v1/nodes/web1?with-volume=true").status == 200
    assert names(daemon.get("/v1/volumes"), "volumes") == []
    assert list((daemon.state / "layers").iterdir()) == []


def test_other_formats_are_no_volumes(daemon, tmp_path):
    qcow2 = tmp_path / "image.qcow2"
    qcow2.write_bytes(b"QFI\xfb\0\0\0\x03" + bytes(1016))
    answer = daemon.post("/v1/volumes", name="x", file=str(qcow2))
    assert answer.status == 400
    assert f"qemu-img convert -O raw '{qcow2}' '{qcow2}.raw'" in answer.error


def test_what_is_no_image_is_refused_at_once_or_when_it_is_read(daemon, tmp_path):
    source = tmp_path / "image"
    source.write_bytes(b"PK\x03\x04" + bytes(1020))
    answer = daemon.post("/v1/images", name="x", path=str(source))
    assert answer.status == 400 and f"unzip -p '{source}'" in answer.error
    source.write_bytes(b"QFI\xfb\0\0\0\x03" + bytes(1016))
    answer = daemon.post("/v1/images", name="x", path=str(source))
    assert answer.status == 200 and f"{source} cannot be read" in answer.error
    assert daemon.post("/v1/images", name="x", path=str(source), labels={"A b": "c"}).status == 400
    assert daemon.post("/v1/images", name="x", path=str(source), labels={"a": 7}).status == 400
    assert names(daemon.get("/v1/images"), "images") == []


def test_images_are_changed_and_verified(daemon, tmp_path):
    image = make_image(tmp_path / "image")
    daemon.post("/v1/images", name="x", path=str(image), labels={"os": "Debian", "old": "1"})
    changed = daemon.patch("/v1/images/x@1", labels={"old": None, "new": "2"}).result
    assert changed["labels"] == {"os": "Debian", "new": "2"}
    assert daemon.patch("/v1/images/x", name="y").result["reference"] == "y@1"
    assert daemon.patch("/v1/images/x", name="z").status == 404
    assert daemon.patch("/v1/images/y", name="z", labels={}).status == 400
    assert daemon.patch("/v1/images/y").status == 400
    result = daemon.post("/v1/verifications", image="y@1").result
    assert result == daemon.get("/v1/images/y").json["versions"][0]
    assert daemon.post("/v1/verifications", image="x@1").status == 404
    assert daemon.post("/v1/verifications", image="../x").status == 400


def test_a_block_device_is_a_volume_and_an_image(daemon, tmp_path):
    image = make_image(tmp_path / "image")
    done = subprocess.run(["losetup", "--show", "-f", image], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs root and loop devices")
    device = done.stdout.strip()
    try:
        volume = daemon.post("/v1/volumes", name="lvm", device=device).result
        assert volume["kind"] == "device" and volume["size"] == 8 << 20
        again = daemon.post("/v1/volumes", name="lvm2", device=device)
        assert again.status == 409 and "is already volume 'lvm'" in again.error
        daemon.delete("/v1/volumes/lvm")
        assert daemon.post("/v1/images", name="dev", path=device).result["size"] == 8 << 20
        copy = daemon.state / "images/dev/1.raw"
        assert copy.read_bytes() == image.read_bytes()
        assert copy.stat().st_blocks * 512 < 1 << 20  # zeroes became holes
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_mounted_device_is_refused(daemon, tmp_path):
    image = make_image(tmp_path / "image", data=0)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted("-o", "loop", image, place=tmp_path / "mnt") as place:
        device = subprocess.run(["findmnt", "-no", "SOURCE", place], capture_output=True, text=True).stdout.strip()
        answer = daemon.post("/v1/volumes", name="x", device=device)
        assert answer.status == 409 and "is in use (mounted" in answer.error


def begin(daemon, path, body):
    """Begins a long operation and returns once it is under way."""
    connection = UnixConnection(daemon.socket)
    connection.request("POST", path, body=json.dumps(body))
    response = connection.getresponse()
    assert "progress" in json.loads(response.readline())
    return connection, response


def files(daemon):
    return sorted(str(p.relative_to(daemon.state)) for p in daemon.state.rglob("*.raw*"))


@pytest.fixture
def large(tmp_path):
    """An image that takes a while: copied by hand, since it comes from another file system."""
    place = "/dev/shm" if os.path.isdir("/dev/shm") else str(tmp_path)
    path = os.path.join(place, f"nodisk-test-{os.getpid()}")
    with open(path, "wb") as file:
        for _ in range(384):
            file.write(os.urandom(1 << 20))
    yield path
    os.unlink(path)


def test_who_goes_away_cancels(daemon, large):
    connection, response = begin(daemon, "/v1/images", {"name": "big", "path": large})
    assert files(daemon) == ["images/big/1.raw.tmp"]
    response.close()
    connection.close()
    wait_until(lambda: files(daemon) == [], "the cancelled import to be undone")
    assert daemon.get("/v1/images").json == {"images": []}
    # the number is given back a moment after the file is gone
    assert daemon.post("/v1/images", name="big", path=large).result["version"] in (1, 2)


def test_a_stop_during_an_import_is_quick_and_leaves_nothing(daemon, large):
    connection, response = begin(daemon, "/v1/images", {"name": "big", "path": large})
    daemon.stop()
    assert json.loads(response.read().splitlines()[-1]) == {"error": "the server is being stopped"}
    assert files(daemon) == []
    connection.close()


def test_kill_during_import_and_volume_create(daemon, large):
    begin(daemon, "/v1/images", {"name": "big", "path": large})
    daemon.kill()
    assert files(daemon) == ["images/big/1.raw.tmp"]
    daemon.start()
    assert files(daemon) == [] and daemon.get("/v1/images").json == {"images": []}
    assert daemon.post("/v1/images", name="big", path=large).result["reference"] == "big@1"
    begin(daemon, "/v1/volumes", {"name": "alone", "image": "big", "copy": True})
    daemon.post("/v1/nodes", name="web1", macs=[mac(1)], image="big")
    daemon.kill()
    daemon.start()
    assert files(daemon) == ["images/big/1.raw"]
    volumes = daemon.get("/v1/volumes").json["volumes"]
    assert [(v["name"], v["state"]) for v in volumes] == [("web1", "ready")]


# --- when the disk, the database or another daemon is in the way ---


def test_a_full_disk_is_told_and_nothing_is_half_done(tmpfs, tmp_path):
    with Daemon(tmp_path / "d", state=tmpfs / "state") as daemon:
        image = make_image(tmp_path / "image", size=16 << 20, data=8 << 20)
        answer = daemon.post("/v1/images", name="x", path=str(image))
        assert "error" in answer.json and "not enough space for" in answer.error
        assert files(daemon) == [] and daemon.get("/v1/images").json == {"images": []}
        subprocess.run(["dd", "if=/dev/zero", f"of={tmpfs}/filler", "bs=64k"],
                       stderr=subprocess.DEVNULL)
        refused = None
        for n in range(2000):
            refused = daemon.post("/v1/nodes", name=f"n{n}", macs=[mac(n)])
            if "error" in refused.json:
                break
        assert refused.status == 507 and "no space left for the registry" in refused.error
        before = names(daemon.get("/v1/nodes"), "nodes")
        assert f"n{n}" not in before
        os.unlink(tmpfs / "filler")
        assert daemon.post("/v1/nodes", name=f"n{n}", macs=[mac(n)]).result
        daemon.kill()
        daemon.start()
        assert set(names(daemon.get("/v1/nodes"), "nodes")) == {*before, f"n{n}"}


def test_a_locked_database_is_told(daemon):
    other = sqlite3.connect(daemon.state / "registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = daemon.post("/v1/nodes", name="a", macs=[mac(1)])
    assert answer.status == 409 and "locked by another program" in answer.error
    other.execute("ROLLBACK")
    assert daemon.post("/v1/nodes", name="a", macs=[mac(1)]).result


def test_a_read_only_state_directory_is_told(tmpfs, tmp_path):
    daemon = Daemon(tmp_path / "d", state=tmpfs / "state")
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    assert "Read-only file system; mount it writable" in daemon.fail_to_start()
    subprocess.run(["mount", "-o", "remount,rw", tmpfs], check=True)
    with daemon:
        assert daemon.post("/v1/nodes", name="a", macs=[mac(1)]).result


def test_two_daemons_cannot_share_a_state_directory(daemon, tmp_path):
    other = Daemon(tmp_path / "other", state=daemon.state)
    text = other.fail_to_start()
    assert f"process id {daemon.process.pid}" in text and "already uses the state directory" in text
    same_socket = Daemon(tmp_path / "third")
    same_socket.socket = daemon.socket
    same_socket.write_config()
    assert "another nodisk already listens on" in same_socket.fail_to_start()
    assert daemon.get("/v1/status").status == 200


def test_a_newer_or_damaged_database_is_refused_and_left_alone(tmp_path):
    daemon = Daemon(tmp_path / "d")
    with daemon:
        daemon.post("/v1/nodes", name="a", macs=[mac(1)])
    database = daemon.state / "registry.db"
    good = database.read_bytes()
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert "written by a newer nodisk" in daemon.fail_to_start()
    database.write_bytes(b"not a database" * 1000)
    before = database.read_bytes()
    assert "is damaged" in daemon.fail_to_start()
    assert database.read_bytes() == before
    for rest in daemon.state.glob("registry.db-*"):
        rest.unlink()
    database.write_bytes(good)
    with daemon:
        assert names(daemon.get("/v1/nodes"), "nodes") == ["a"]


# --- many ---


def test_a_thousand_nodes_and_the_memory_they_take(tmp_path, capsys):
    def add(first):
        for n in range(first, first + 125):
            daemon.post("/v1/nodes", name=f"n{n}", macs=[mac(n)], address=f"10.1.{n >> 8}.{n & 255}")

    with Daemon(tmp_path / "d", program=plain_program()) as daemon:
        started = time.monotonic()
        threads = [threading.Thread(target=add, args=(n * 125 + 1,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.monotonic() - started
        assert len(daemon.get("/v1/status").json["nodes"]) == 1000
        busy = daemon.memory_kib()
        daemon.stop()
        daemon.start()
        assert len(daemon.get("/v1/nodes").json["nodes"]) == 1000
        idle = daemon.memory_kib()
        with capsys.disabled():
            print(f"\n1000 nodes: {1000 / seconds:.0f} added per second by 8 clients, daemon's "
                  f"memory {busy} KiB then, {idle} KiB after a restart")
        assert max(busy, idle) < 32 * 1024


def test_clients_at_once_each_get_their_own_answer(daemon):
    failures = []

    def work(k):
        for n in range(20):
            name = f"n{k}-{n}"
            if daemon.post("/v1/nodes", name=name, macs=[mac(k * 32 + n)]).result["name"] != name:
                failures.append(name)
            answer = daemon.post("/v1/nodes", name=f"x{name}", macs=[mac(k * 32 + n)])
            if answer.status != 409 or name not in answer.error:
                failures.append(answer.error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    assert len(daemon.get("/v1/nodes").json["nodes"]) == 320


def test_more_connections_than_allowed_wait_their_turn(daemon):
    idle = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(str(daemon.socket))
        idle.append(s)
    for s in idle:
        s.close()
    assert daemon.get("/v1/status").status == 200
