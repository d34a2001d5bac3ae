"""A bucket behind the S3 API (MinIO or any other), through the `minio` client.

Knows nothing of what the bytes are. The secret key is handed to the client and appears nowhere else.
"""

import contextlib
import io
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

import certifi
import urllib3
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError, ProtocolError

from limner.bucket.naming import checked_key, checked_prefix
from limner.errors import BadInput, BucketUnreachable, DiskFull

T = TypeVar("T")

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 60.0

# The longest that a signature of S3 may hold.
_WEEK_SECONDS = 7 * 24 * 3600

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "ResourceNotFound", "NoSuchObject"})
_OURS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_FULL = frozenset({"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"})
_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"})
_LATE = frozenset({"RequestTimeTooSkewed", "RequestExpired"})

_BUCKET_NAME = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_ENDPOINT = re.compile(r"^(?:(https?)://)?([^/\s@?#]+)/?$", re.IGNORECASE)
_CODE_IN_BODY = re.compile(r"<Code>(\w+)</Code>")


class S3Bucket:
    """Artifacts in one S3 bucket, made at the first `put` where the keys allow it.

    endpoint: `host:port`, or with `http://` or `https://`, which then decides over `secure`.
    connections: at once; more wait. Safe to share between threads.
    """

    def _listed(self, prefix: str) -> list[tuple[str, datetime | None]]:
        checked_prefix(prefix)
        with contextlib.suppress(KeyError), self._said(prefix):
            found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
            listed = [(one.object_name, one.last_modified) for one in found if one.object_name and not one.is_dir]
            return sorted(listed, key=lambda one: one[0])
        return []

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        region: str = "us-east-1",
        secure: bool = True,
        connections: int = 32,
    ) -> None:
        self._endpoint, self._bucket = endpoint, _checked_name(bucket)
        host, encrypted = _host_of(endpoint, secure)
        self._open: Callable[[], Minio] = lambda: _client(host, encrypted, access_key, secret_key, region, connections)
        self._opened: Minio | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"S3Bucket({self._endpoint!r}, {self._bucket!r})"

    def put(self, key: str, data: bytes, media_type: str) -> None:
        def send() -> None:
            self._client.put_object(
                self._bucket, checked_key(key), io.BytesIO(data), len(data), content_type=media_type
            )

        with self._said():
            self._with_bucket(send)

    def get(self, key: str) -> bytes:
        with self._said(key):
            return self._read(checked_key(key))

    def exists(self, key: str) -> bool:
        try:
            with self._said(checked_key(key)):
                self._client.stat_object(self._bucket, key)
        except KeyError:
            return False
        return True

    def delete(self, key: str) -> None:
        with contextlib.suppress(KeyError), self._said(checked_key(key)):
            self._client.remove_object(self._bucket, key)

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key, _written in self._listed(prefix)]

    def written_before(self, moment: datetime, prefix: str = "") -> list[str]:
        return [key for key, written in self._listed(prefix) if written is not None and written < moment]

    def location(self) -> str:
        """Return `s3://bucket/`."""
        return f"s3://{self._bucket}/"

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a signed address that opens for `seconds`, a week at most; nothing is asked of the server."""
        lasts = timedelta(seconds=min(max(seconds, 1), _WEEK_SECONDS))
        with self._said(key):
            return self._client.presigned_get_object(self._bucket, checked_key(key), expires=lasts)

    def check(self) -> None:
        key = f"checks/{secrets.token_hex(8)}.txt"
        self.put(key, b"limner", "text/plain")
        read = self.get(key)
        self.delete(key)
        if read != b"limner":
            raise BucketUnreachable(f"{self._where} does not give back what is written there; see what answers at it.")

    @property
    def _where(self) -> str:
        return f"The bucket {self._bucket} at {self._endpoint}"

    @property
    def _client(self) -> Minio:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _with_bucket(self, send: Callable[[], T]) -> T:
        """Run `send`; where the bucket is not there yet, make it and run `send` once more."""
        try:
            return send()
        except MinioException as error:
            if _code_of(error) != "NoSuchBucket":
                raise
        self._make_bucket()
        return send()

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket)
        except MinioException as error:
            # Another process may have made it a moment ago.
            if _code_of(error) not in _OURS:
                raise

    def _read(self, key: str) -> bytes:
        """Return the object's bytes; a body that breaks off is asked for once more, a second break is the caller's."""
        try:
            return self._read_once(key)
        except ProtocolError:
            return self._read_once(key)

    def _read_once(self, key: str) -> bytes:
        answer = self._client.get_object(self._bucket, key)
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    @contextlib.contextmanager
    def _said(self, key: str | None = None) -> Iterator[None]:
        """Turn whatever the client raises into our family; what the server said in its body is not repeated."""
        try:
            yield
        except MinioException as error:
            raise self._meaning(_code_of(error), _status_of(error), key) from None
        except (HTTPError, OSError) as error:
            raise BucketUnreachable(
                f"{self._where} does not answer ({type(error).__name__}); see that it runs and check the address."
            ) from None
        except (ValueError, SyntaxError):
            # The client's XML and text parsers, on an error page that is neither.
            raise BucketUnreachable(f"{self._where} answers, but not as S3 does; check the address.") from None

    def _meaning(self, code: str, status: int, key: str | None) -> Exception:
        if code in _MISSING and key is not None:
            return KeyError(key)
        if code in _FULL or status == 507:
            return DiskFull(f"{self._where} is full; free some room there and run the same command again.")
        if code in _DENIED or status in (401, 403):
            return BucketUnreachable(
                f"{self._where} refuses our keys ({code or status}); check both keys and their rights."
            )
        if code in _LATE:
            return BucketUnreachable(f"{self._where} finds our clock wrong ({code}); set this machine's time.")
        return BucketUnreachable(
            f"{self._where} failed ({code or status}); run the same command again when it is well."
        )


def _checked_name(bucket: str) -> str:
    if not _BUCKET_NAME.match(bucket):
        raise BadInput(f"{bucket!r} is no S3 bucket name; give 3 to 63 lower-case letters, digits, hyphens or dots.")
    return bucket


def _host_of(endpoint: str, secure: bool) -> tuple[str, bool]:
    found = _ENDPOINT.match(endpoint)
    if not found:
        raise BadInput(
            "The S3 endpoint is no address; give host:port or https://host:port, without a path or keys in it."
        )
    return found[2], found[1].lower() == "https" if found[1] else secure


def _client(host: str, secure: bool, access_key: str, secret_key: str, region: str, connections: int) -> Minio:
    # Every call of ours may be repeated (the same bytes under the same key); a refusal or a missing key is not.
    again = urllib3.Retry(
        total=3,
        connect=2,
        read=1,
        status=3,
        redirect=0,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        status_forcelist=(500, 502, 503, 504),
        allowed_methods=("GET", "HEAD", "PUT", "DELETE"),
        raise_on_status=False,
    )
    pool = urllib3.PoolManager(
        num_pools=2,
        maxsize=connections,
        block=True,
        timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        retries=again,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
    )
    try:
        return Minio(host, access_key, secret_key, secure=secure, region=region, http_client=pool)
    except ValueError as error:
        raise BadInput(f"The S3 endpoint {host} is no address ({error}); give host:port.") from None


def _code_of(error: Exception) -> str:
    """Return the server's error code; servers that answer in `text/xml` leave it in the body alone."""
    found = _CODE_IN_BODY.search(str(getattr(error, "_body", None) or ""))
    return str(getattr(error, "code", None) or (found[1] if found else ""))


def _status_of(error: Exception) -> int:
    """Return the HTTP status: InvalidResponseError keeps it as `_code`, S3Error in its response."""
    answered = getattr(getattr(error, "response", None), "status", None)
    return int(answered or getattr(error, "status_code", None) or getattr(error, "_code", None) or 0)
