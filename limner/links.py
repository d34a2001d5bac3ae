"""Links to pictures and contact sheets that a person or an app can open for a while.

With a gateway: signed addresses of it, each for one thing and until one moment; they carry no owner and no prompt.
Without: the bucket's own, which has none for thumbnails and sheets. Knows nothing of HTTP.
"""

import hmac
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from limner.bucket import Bucket
from limner.settings import Settings
from limner.signing import derived_key, signing_key

# Links end at whole hours, so that one asked for twice is the same, and a browser keeps what it has fetched.
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs paths, each until a moment, and knows its own signatures again."""

    key: bytes

    def sealed(self, path: str, seconds: float) -> str:
        """Return the path as an address with its signature, good for `seconds` and at most an hour more."""
        until = str(int(-(-(time.time() + seconds) // _HOUR_SECONDS) * _HOUR_SECONDS))
        return f"{quote(path)}?{urlencode({'until': until, 'signature': self._signature(path, until)})}"

    def why_not(self, path: str, until: str, signature: str) -> str | None:
        """Return in one sentence why a path may not be opened; None where it may."""
        if not hmac.compare_digest(self._signature(path, until).encode(), signature.encode()):
            return "This link is not signed by this gateway; ask for a new one."
        # Signed by us, so it is a number.
        return "This link has expired; ask for a new one." if int(until) < time.time() else None

    def _signature(self, path: str, until: str) -> str:
        return derived_key(self.key, "link", f"{until}\n{path}").hex()


@dataclass(frozen=True, slots=True)
class Links:
    """How things are linked to: through the gateway where there is one, else by the bucket."""

    bucket: Bucket
    gateway_url: str | None
    seal: Seal
    # How long a link opens; S3 signs its own for a week at most.
    seconds: float

    def picture(self, sha256: str, key: str) -> str:
        """Return the address of a picture's bytes."""
        if self.gateway_url is None:
            return self.bucket.link(key, int(self.seconds))
        return self._of_gateway(artifact_path(sha256))

    def thumbnail(self, sha256: str) -> str:
        """Return the address of a small copy, or an empty text where nobody makes one."""
        return self._of_gateway(thumbnail_path(sha256))

    def sheet(self, batch: str) -> str:
        """Return the address of a batch's contact sheet, or an empty text where nobody shows one."""
        return self._of_gateway(sheet_path(batch))

    def _of_gateway(self, path: str) -> str:
        return "" if self.gateway_url is None else self.gateway_url + self.seal.sealed(path, self.seconds)


def links_of(settings: Settings, bucket: Bucket, seconds: float) -> Links:
    """Return how the environment says that things are linked to; raises BadInput or DiskFull for a home of no use."""
    # Without a gateway nothing is signed, and nothing needs a key.
    seal = Seal(signing_key(settings) if settings.gateway_url else b"")
    return Links(bucket, settings.gateway_url, seal, seconds)


def artifact_path(sha256: str) -> str:
    return f"/artifacts/{sha256}"


def thumbnail_path(sha256: str) -> str:
    return f"/artifacts/{sha256}/thumb.webp"


def sheet_path(batch: str) -> str:
    return f"/batches/{batch}/sheet"
