"""The simulator's own certificate authority, kept in its directory, and the one leaf for all hosts."""

import ssl
from pathlib import Path

import trustme

from simulator.web import HOSTS


def authority(directory: Path) -> trustme.CA:
    """The CA of the directory, made on the first run. `ca.pem` is what clients verify with."""
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    ca = trustme.CA(organization_name="gempool simulator")
    write_private(key, ca.private_key_pem.bytes())
    certificate.write_bytes(ca.cert_pem.bytes())
    return ca


def server_context(ca: trustme.CA) -> ssl.SSLContext:
    """TLS for every host of the web app; HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*HOSTS).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def write_private(path: Path, data: bytes) -> None:
    """Replace a file at once; only its owner may read it."""
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_bytes(data)
    draft.replace(path)
