"""Pictures in an S3-compatible store (MinIO, R2, SeaweedFS, ...). The only importer of the minio SDK."""

import asyncio
import io
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error

from core.secret import Secret
from storage.names import valid
from storage.objects import StorageError

LONGEST_LINK = 7 * 86400.0
"""Seconds; S3 signs links for no longer."""
_REMEDIES = {
    "SignatureDoesNotMatch": "S3_SECRET_KEY is not the secret of that access key",
    "InvalidAccessKeyId": "S3_ACCESS_KEY is not known there",
    "AccessDenied": "the keys may not do this in the bucket",
    "NoSuchBucket": "make the bucket, or mend S3_BUCKET",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
}
_RETRIED = (500, 502, 503, 504)


class S3:
    """One bucket.

    endpoint: `https://host[:port]`. public_url: what callers read under, without the name; '' hands out links that
    are signed for `link_ttl` seconds. timeout: seconds, for connecting and for each silence. Raises ValueError where
    the endpoint is no such address.
    """

    kind = "s3"

    def __init__(
        self,
        endpoint: str,
        access_key: Secret,
        secret_key: Secret,
        bucket: str,
        *,
        public_url: str = "",
        region: str = "us-east-1",
        link_ttl: float = 86400.0,
        timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname or address.path.strip("/"):
            raise ValueError(
                f"{endpoint!r} is no address of an object store; write it as https://host or http://host:port"
            )
        self._endpoint = address.netloc.rpartition("@")[2]
        self._bucket = bucket
        self._public_url = public_url.rstrip("/")
        self._link_ttl = timedelta(seconds=min(link_ttl, LONGEST_LINK))
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
            maxsize=8,
            retries=urllib3.Retry(total=retries, backoff_factor=0.2, status_forcelist=_RETRIED),
        )
        self._client = Minio(
            self._endpoint,
            access_key=access_key.reveal(),
            secret_key=secret_key.reveal(),
            secure=address.scheme == "https",
            region=region,  # named, since asking for it costs a round trip and a permission
            http_client=self._pool,
        )

    async def put(self, name: str, data: bytes, content_type: str) -> str:
        await asyncio.to_thread(self._put, name, data, content_type)
        return self.link(name)

    async def read(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._read, name)

    async def remove(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._client.remove_object, self._bucket, name)
        # border: an answer that is no S3's makes the SDK raise whatever it stumbles over
        except Exception as error:
            raise StorageError(self._explained(error)) from error

    def link(self, name: str) -> str:
        return f"{self._public_url}/{quote(name)}" if self._public_url else self._signed(name)

    def name_in(self, link: str) -> str:
        address = link.partition("?")[0]
        name = unquote(address.rpartition("/")[2])
        if not valid(name):
            return ""
        # Links of before S3_PUBLIC_URL was set are signed ones.
        with suppress(StorageError):
            if address in (self.link(name), self._signed(name).partition("?")[0]):
                return name
        return ""

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    def _signed(self, name: str) -> str:
        """Nobody is asked: the region is known."""
        try:
            return self._client.presigned_get_object(self._bucket, name, expires=self._link_ttl)
        except ValueError as error:
            raise StorageError(self._explained(error)) from error

    def _read(self, name: str) -> bytes | None:
        try:
            answer = self._client.get_object(self._bucket, name)
            try:
                return bytes(answer.data)
            finally:
                answer.close()
                answer.release_conn()
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise StorageError(self._explained(error)) from error
        except Exception as error:  # border, as above
            raise StorageError(self._explained(error)) from error

    def _put(self, name: str, data: bytes, content_type: str) -> None:
        try:
            kept = self._client.put_object(
                self._bucket, name, io.BytesIO(data), len(data), content_type=content_type
            )
            if not kept.etag:
                raise InvalidResponseError(200, None, None)
        except Exception as error:  # border, as above
            raise StorageError(self._explained(error)) from error

    def _check(self) -> None:
        try:
            found = self._client.bucket_exists(self._bucket)
        except Exception as error:  # border, as above
            raise StorageError(self._explained(error)) from error
        if not found:
            raise StorageError(f"The object store at {self._endpoint} has no bucket {self._bucket!r}.")

    def _explained(self, error: Exception) -> str:
        """In words, without what the server or the SDK quotes of the request."""
        where = f"The object store at {self._endpoint}"
        if isinstance(error, S3Error):
            remedy = _REMEDIES.get(error.code or "", "look at its log")
            return f"{where} has refused bucket {self._bucket!r} ({error.code}): {remedy}."
        if isinstance(error, (InvalidResponseError, ParseError)):
            return f"{where} has not answered like S3: look at S3_ENDPOINT, and at a proxy before it."
        if isinstance(error, ValueError):
            return f"{where} cannot be asked: {error}."
        if not isinstance(error, (MinioException, urllib3.exceptions.HTTPError)):
            return f"{where} has not answered like S3 ({type(error).__name__}): look at S3_ENDPOINT."
        cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        return f"{where} cannot be reached ({type(cause).__name__}): is it running, is S3_ENDPOINT right?"
