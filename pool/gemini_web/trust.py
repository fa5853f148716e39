"""Which authorities the upstream's certificates are believed from."""

import hashlib
import os
import re
import ssl
from pathlib import Path

import certifi
import structlog

log = structlog.get_logger("gempool.gemini_web")

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_GOOGLE = (b"Google Trust Services", b"GlobalSign")
"""Google's hosts have certificates of its own authority, whose roots GlobalSign has signed as well."""


class Trust:
    """Two sets of authorities: those that Google's hosts are signed by, and all that are public.

    libcurl parses its set for every session anew and keeps it while the session lives: 0.8 MB and 5 ms for the
    hundred and more public ones. Google's are ten. Where they do not do, as behind a proxy that opens TLS, a
    session goes on with all of them (`widen`), and later ones of that proxy begin with all.

    directory: where the two files are written. ca_file: an authority that is believed besides, in both.
    public: a file of the public ones instead of certifi's.
    """

    def __init__(self, directory: Path, ca_file: Path | None = None, public: Path | None = None) -> None:
        self._wide_proxies: set[bytes] = set()
        every = (public or Path(certifi.where())).read_text()
        own = "" if ca_file is None else "\n" + ca_file.read_text()
        ours = [pem for pem in _PEM.findall(every) if _is_googles(pem)]
        self.whole: str | bool = True
        """curl_cffi's `verify`. True is its own choice: certifi's, or those that the environment names for curl."""
        if ca_file is not None or public is not None:
            self.whole = _write(directory / "ca-bundle.pem", every + own)
        self._google = _write(directory / "ca-google.pem", "\n".join(ours) + own) if ours else self.whole

    def begin(self, proxy: str | None) -> str | bool:
        """What a session over this proxy begins with."""
        return self.whole if _mark(proxy) in self._wide_proxies else self._google

    def widen(self, proxy: str | None) -> None:
        """Google's own authorities did not do there."""
        if _mark(proxy) not in self._wide_proxies:
            self._wide_proxies.add(_mark(proxy))
            log.warning(
                "the upstream's certificate is not of Google's own authorities; all public ones are taken",
                proxied=proxy is not None,
            )


def _mark(proxy: str | None) -> bytes:
    """Tells proxies apart without keeping their passwords."""
    return hashlib.sha256((proxy or "").encode()).digest()


def _is_googles(pem: str) -> bool:
    der = ssl.PEM_cert_to_DER_cert(pem)
    return any(name in der for name in _GOOGLE)


def _write(path: Path, text: str) -> str:
    # Another replica on this machine may read the same file at this moment.
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    return str(fresh.replace(path))
