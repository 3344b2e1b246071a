"""A certificate authority of a test's own, by openssl."""

import subprocess
from pathlib import Path

#: What the daemon says of HTTPS in its configuration.
HTTPS = "[https]\ncertificate = {certificate}\nkey = {key}\n"


def openssl(*words: object) -> str:
    """What it prints."""
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """It signs certificates; its own is `certificate`."""

    def __init__(self, work: Path, name: str = "a test's authority") -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = work / "ca.crt", work / "ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", 3650, "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name: str, *alternatives: str, days: int = 365, kind: str = "rsa:2048",
              with_authority: bool = False) -> tuple[Path, Path]:
        """A certificate and its key; alternatives: "IP:10.0.0.1", "DNS:boot.example". days -1: it has ended."""
        stem = self.work / f"{len(list(self.work.iterdir()))}"
        certificate, key, request, extensions = (stem.with_suffix(s) for s in (".crt", ".key", ".csr", ".ext"))
        more = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else []
        openssl("req", "-newkey", kind, *more, "-nodes", "-sha256", "-subj", f"/CN={name}", "-keyout", key,
                "-out", request)
        extensions.write_text(f"subjectAltName={','.join(alternatives or [f'DNS:{name}'])}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-sha256", "-days", days,
                "-extfile", extensions, "-out", certificate)
        if with_authority:
            certificate.write_text(certificate.read_text() + self.certificate.read_text())
        return certificate, key

    def configure(self, name: str, *alternatives: str, more: str = "", **how: object) -> str:
        """A section of the configuration with a new certificate."""
        certificate, key = self.issue(name, *alternatives, **how)
        return HTTPS.format(certificate=certificate, key=key) + more
