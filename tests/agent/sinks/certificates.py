"""A certificate for 127.0.0.1 and localhost, signed by itself, made by the openssl program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


class Certificate:
    """Files of a key and its certificate, which is its own authority."""

    def __init__(self, folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl program to make a certificate with")
        folder.mkdir(exist_ok=True)
        self.key, self.file = folder / "key.pem", folder / "cert.pem"
        new = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]
        where = ["-keyout", str(self.key), "-out", str(self.file)]
        subject = ["-subj", "/CN=test", "-addext", f"subjectAltName={names}"]
        subprocess.run(["openssl", *new, *where, *subject], check=True, capture_output=True)

    def hashed(self, folder: Path) -> None:
        """Put the certificate into a folder of authorities, under the hash of its name."""
        folder.mkdir()
        command = ["openssl", "x509", "-hash", "-noout", "-in", str(self.file)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        (folder / f"{done.stdout.strip()}.0").write_bytes(self.file.read_bytes())

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context
