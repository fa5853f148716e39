"""A real S3 server (SeaweedFS)."""

import io
import json
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from tests.support.ports import free_ports

ACCESS, SECRET, BUCKET = "operator", "a-long-enough-secret", "pictures"


@contextmanager
def serving_s3(directory: Path) -> Iterator[str]:
    """Its address. It knows one pair of keys, and refuses every other."""
    identity = {
        "name": "operator",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, port = free_ports(4, beside=10_000)  # which it adds for gRPC
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    options = {
        "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": str(directory), "s3.config": str(directory / "s3.json"),
        "master.port": master, "volume.port": volume, "filer.port": filer, "s3.port": port,
        "volume.max": 8, "master.volumeSizeLimitMB": 64, "s3.port.iceberg": 0, "s3.port.lance": 0,
    }  # fmt: skip
    command = [str(weed), "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        quick = urllib3.PoolManager(timeout=5, retries=False)
        client = Minio(
            f"127.0.0.1:{port}", ACCESS, SECRET, secure=False, region="us-east-1", http_client=quick
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                if not client.bucket_exists(BUCKET):
                    client.make_bucket(BUCKET)
                client.put_object(BUCKET, "ready", io.BytesIO(b"1"), 1)
                break
            except (MinioException, HTTPError):
                assert server.poll() is None, (directory / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (directory / "log").read_text()[-2000:]
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()  # it would take its time, and its data are nobody's
        server.wait()
