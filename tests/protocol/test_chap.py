"""CHAP: libiscsi's tools and an initiator of our own log in with it, or do not."""

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import SanDaemon, Volume, refusal, run
from lab.iscsi import FULL_FEATURE, INITIATOR, LoginRefused, Session

USER, SECRET = "backup", "correct-horse-battery"
TARGET_USER, TARGET_SECRET = "disk", "staple-of-the-target"
WRONG = "wrong-horse-battery"
AUTH_FAILED = 0x0201

needs_libiscsi = pytest.mark.skipif(not shutil.which("iscsi-inq"), reason="libiscsi's tools are not installed")


def secrets_of(daemon: SanDaemon) -> dict[str, list[str]]:
    """All secrets of nodes and volumes, as only root can see them."""
    with sqlite3.connect(f"file:{daemon.state}/registry.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT n.name, c.secret, c.target_secret FROM node_chap c"
                                " JOIN nodes n ON n.id = c.node_id"
                                " UNION ALL SELECT v.name, c.secret, c.target_secret FROM volume_chap c"
                                " JOIN volumes v ON v.id = c.volume_id").fetchall()
    return {name: [secret for secret in secrets if secret] for name, *secrets in rows}


def assert_silent(daemon: SanDaemon, *more: str) -> None:
    """Neither the log nor any answer of the API has a secret."""
    secrets = {SECRET, TARGET_SECRET, WRONG, *more, *(s for several in secrets_of(daemon).values() for s in several)}
    daemon.settle()
    said = daemon.output()
    for path in ("status", "nodes", "volumes", "images", "groups", "leases"):
        said += json.dumps(daemon.get(f"/v1/{path}").json)
    for kind in ("nodes", "volumes"):
        for thing in daemon.get(f"/v1/{kind}").json[kind]:
            said += json.dumps(daemon.get(f"/v1/{kind}/{thing['name']}").json)
            said += daemon.ok(kind.removesuffix("s"), "show", thing["name"])
    assert not [secret for secret in secrets if secret in said]


@pytest.fixture
def daemon(tmp_path):
    with SanDaemon(tmp_path / "d") as d:
        yield d
        assert_silent(d)


def url(volume: Volume, user: str = USER, secret: str = SECRET, target_user: str = "", target_secret: str = "") -> str:
    """As libiscsi takes credentials."""
    mutual = f"?target_user={target_user}&target_password={target_secret}" if target_user else ""
    return volume.url.replace("iscsi://", f"iscsi://{user}%{secret}@") + mutual


def inquiry(where: str, initiator: str = INITIATOR) -> subprocess.CompletedProcess[str]:
    return run("iscsi-inq", f"--initiator-name={initiator}", where, check=False)


def works(where: str, initiator: str = INITIATOR) -> bool:
    return "Peripheral Qualifier" in inquiry(where, initiator).stdout


def secret_file(daemon: SanDaemon, name: str, secret: str, mode: int = 0o600):
    path = daemon.work / name
    path.write_text(secret + "\n")
    path.chmod(mode)
    return path


def credentials(mutual: bool = False) -> dict[str, str]:
    """Of a volume, as the API takes them."""
    more = {"chap_target_user": TARGET_USER, "chap_target_secret": TARGET_SECRET} if mutual else {}
    return {"chap_user": USER, "chap_secret": SECRET, **more}


# --- volumes ---


@needs_libiscsi
def test_one_way(daemon):
    volume = daemon.volume(**credentials())
    assert works(url(volume))
    assert daemon.lines("login of", " with CHAP")
    for where in (url(volume, secret=WRONG), url(volume, user="backuq"), volume.url,
                  url(volume, target_user=TARGET_USER, target_secret=TARGET_SECRET)):
        refused = daemon.counter("refused")
        assert not works(where), where
        daemon.wait_for("refused", refused + 1)
    assert daemon.lines("refused: has the wrong CHAP secret")


@needs_libiscsi
def test_mutual(daemon):
    volume = daemon.volume(**credentials(mutual=True))
    assert works(url(volume, target_user=TARGET_USER, target_secret=TARGET_SECRET))
    assert daemon.lines("login of", " with mutual CHAP")
    assert not works(url(volume, target_user=TARGET_USER, target_secret=WRONG))  # libiscsi does not believe us
    assert not works(url(volume, secret=WRONG, target_user=TARGET_USER, target_secret=TARGET_SECRET))
    assert works(url(volume))  # the target proves itself to whoever asks


def test_credentials_are_set_and_taken_away_by_the_command_line(daemon):
    volume = daemon.volume()
    files = [secret_file(daemon, "secret", SECRET), secret_file(daemon, "target-secret", TARGET_SECRET)]
    daemon.ok("volume", "set", "disk", "--chap-user", USER, "--chap-secret-file", files[0])
    shown = daemon.ok("volume", "show", "disk")
    assert "one-way" in shown and USER in shown
    assert refusal(volume.portal, volume.target) == AUTH_FAILED
    daemon.ok("volume", "set", "disk", "--chap-user", USER, "--chap-secret-file", files[0],
              "--chap-target-user", TARGET_USER, "--chap-target-secret-file", files[1])
    assert "mutual" in daemon.ok("volume", "show", "disk")
    daemon.ok("volume", "set", "disk", "--chap", "none")
    volume.session().close()
    daemon.ok("volume", "create", "new", "--size", "1M", "--chap-user", USER, "--chap-secret-file", files[0])
    assert daemon.get("/v1/volumes/new").json["chap"] == "one-way"


def test_what_is_no_secret_is_refused_with_a_reason(daemon):
    daemon.volume()
    short = secret_file(daemon, "short", "eleven-char")
    public = secret_file(daemon, "public", SECRET, 0o644)
    same = secret_file(daemon, "same", SECRET)
    command = ("volume", "set", "disk", "--chap-user", USER, "--chap-secret-file")
    assert "12 to 255 characters" in daemon.refused(*command, short)
    assert "everybody may read" in daemon.refused(*command, public)
    assert "cannot be read" in daemon.refused(*command, daemon.work / "nowhere")
    assert "must differ" in daemon.refused(*command, same, "--chap-target-user", "t",
                                           "--chap-target-secret-file", same)
    assert "--chap-secret-file" in daemon.usage("volume", "set", "disk", "--chap-user", USER)
    assert "what to change" in daemon.usage("volume", "set", "disk")
    assert daemon.get("/v1/volumes/disk").json["chap"] == "none"


# --- every algorithm, by the bytes ---

HASHES = {"5": "md5", "6": "sha1", "7": "sha256", "8": "sha3_256"}


def response(algorithm: str, identifier: str, secret: str, challenge: str) -> str:
    data = bytes([int(identifier)]) + secret.encode() + bytes.fromhex(challenge.removeprefix("0x"))
    return "0x" + hashlib.new(HASHES[algorithm], data).hexdigest()


def log_in(session: Session, algorithms: str, secret: str = SECRET, **changes: str) -> dict[str, str]:
    """Through the security stage straight to the session; what the target answers in the end."""
    session.stage = 0
    chosen = dict(session.exchange_login({**session.identity(), "AuthMethod": "CHAP"}).pairs)
    assert chosen["AuthMethod"] == "CHAP"
    asked = dict(session.exchange_login({"CHAP_A": algorithms}).pairs)
    keys = {"CHAP_N": USER, "CHAP_R": response(asked["CHAP_A"], asked["CHAP_I"], secret, asked["CHAP_C"]), **changes}
    keys = {key: value.replace("ASKED", asked["CHAP_C"]) for key, value in keys.items()}
    return {**asked, **dict(session.exchange_login(keys, next_stage=FULL_FEATURE).pairs)}


@pytest.mark.parametrize("algorithm", HASHES)
def test_every_algorithm_both_ways(daemon, algorithm):
    volume = daemon.volume(**credentials(mutual=True))
    own = os.urandom(24).hex()
    with Session(volume.portal, volume.target) as session:
        answer = log_in(session, f"9,{algorithm},5", CHAP_I="200", CHAP_C=f"0x{own}")
        assert answer["CHAP_N"] == TARGET_USER
        assert int(answer["CHAP_R"], 16) == int(response(algorithm, "200", TARGET_SECRET, own), 16)
        session.write(0, bytes(4096))
    with Session(volume.portal, volume.target) as session, pytest.raises(LoginRefused) as refused:
        log_in(session, algorithm, secret=WRONG)
    assert refused.value.status == AUTH_FAILED


def test_challenges_differ_and_come_back_to_nobody(daemon):
    volume = daemon.volume(**credentials(mutual=True))
    challenges = set()
    for _ in range(8):
        with Session(volume.portal, volume.target) as session:
            challenges.add(log_in(session, "7")["CHAP_C"])
    assert len(challenges) == 8
    with Session(volume.portal, volume.target) as session, pytest.raises(LoginRefused) as refused:
        log_in(session, "7", CHAP_I="1", CHAP_C="ASKED")
    assert refused.value.status == AUTH_FAILED
    assert daemon.lines("sent our own CHAP challenge back")


# --- nodes ---


def add_node(daemon: SanDaemon, chap: str) -> tuple[Volume, str]:
    """A node with its disk, and its initiator's name."""
    volume = daemon.volume(allow=())
    daemon.ok("node", "add", "web1", "--mac", "52:54:00:10:00:01", "--volume", "disk", "--chap", chap)
    return volume, f"{BASE_IQN}:web1"


@needs_libiscsi
def test_a_node_logs_in_with_what_was_made_for_it(daemon):
    volume, initiator = add_node(daemon, "mutual")
    secret, target_secret = secrets_of(daemon)["web1"]
    assert "mutual" in daemon.ok("node", "show", "web1")
    assert not works(volume.url, initiator)
    assert works(url(volume, "web1", secret), initiator)
    assert works(url(volume, "web1", secret, "nodisk", target_secret), initiator)
    assert not works(url(volume, "web1", target_secret), initiator)
    assert works(url(volume, "web1", secret), f"{BASE_IQN}:52-54-00-10-00-01")  # the same node
    daemon.ok("node", "set", "web1", "--chap", "none")
    assert works(volume.url, initiator)


def test_new_secrets_of_a_node(daemon):
    volume, initiator = add_node(daemon, "one-way")

    def session() -> Session:
        return Session(volume.portal, volume.target, initiator)

    old = secrets_of(daemon)["web1"][0]
    with session() as running:
        log_in(running, "5", secret=old, CHAP_N="web1")
        for words in (("--chap-rotate",), ("--chap", "mutual"), ("--chap", "none")):
            assert "is up" in daemon.refused("node", "set", "web1", *words)
        daemon.ok("node", "set", "web1", "--chap", "one-way")  # which it has
        assert secrets_of(daemon)["web1"] == [old]
        running.logout()
    wait_until(lambda: daemon.cli("node", "set", "web1", "--chap-rotate").returncode == 0, "the node to be down")
    new = secrets_of(daemon)["web1"][0]
    assert new != old
    with session() as again, pytest.raises(LoginRefused):
        log_in(again, "5", secret=old, CHAP_N="web1")
    with session() as again:
        log_in(again, "5", secret=new, CHAP_N="web1")
    assert_silent(daemon, old)


def test_new_secrets_of_a_volume_hold_from_the_next_login_on(daemon):
    volume = daemon.volume()
    with Session(volume.portal, volume.target) as running:
        running.login()
        assert daemon.patch("/v1/volumes/disk", **credentials()).result["chap"] == "one-way"
        running.write(0, bytes(4096))
        assert refusal(volume.portal, volume.target) == AUTH_FAILED
        running.write(0, bytes(4096))
    with Session(volume.portal, volume.target) as again:
        log_in(again, "5")


def test_secrets_survive_the_daemon_and_are_nobody_elses(daemon):
    volume, initiator = add_node(daemon, "one-way")
    secret = secrets_of(daemon)["web1"][0]
    daemon.kill()
    daemon.start()
    with Session(volume.portal, volume.target, initiator) as session:
        log_in(session, "5", secret=secret, CHAP_N="web1")
    assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
    files = list(daemon.state.glob("registry.db*"))
    assert len(files) >= 2  # with what is not in it yet
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_words_that_make_no_sense(daemon):
    add_node(daemon, "none")
    assert "none, one-way or mutual" in daemon.usage("node", "set", "web1", "--chap", "both")
    assert "--chap mutual" in daemon.refused("node", "set", "web1", "--chap-rotate")


# --- discovery ---


@needs_libiscsi
def test_discovery(tmp_path):
    d = SanDaemon(tmp_path / "d")
    files = [secret_file(d, "secret", SECRET), secret_file(d, "target-secret", TARGET_SECRET)]
    d.iscsi = (f"discovery-chap-user = {USER}\ndiscovery-chap-secret-file = {files[0]}\n"
               f"discovery-chap-target-user = {TARGET_USER}\ndiscovery-chap-target-secret-file = {files[1]}\n")
    d.write_config()
    assert run(d.program, "serve", "--check", "--config", d.config).stdout
    with d:
        volume = d.volume(allow=("any",))
        where = f"{d.portal[0]}:{d.portal[1]}"
        mutual = f"target_user={TARGET_USER}&target_password={TARGET_SECRET}"
        for words, found in ((f"iscsi://{USER}%{SECRET}@{where}", True), (f"iscsi://{where}", False),
                             (f"iscsi://{USER}%{WRONG}@{where}", False),
                             (f"iscsi://{USER}%{SECRET}@{where}?{mutual}", True)):
            assert (volume.target in run("iscsi-ls", words, check=False).stdout) == found, words
        assert works(volume.url)  # which has no secret of its own
        assert d.lines("discovery login of", "with CHAP")
        assert_silent(d)
    files[0].chmod(0o644)
    assert "everybody may read" in d.fail_to_start()
    assert "everybody may read" in run(d.program, "serve", "--check", "--config", d.config, check=False).stderr
