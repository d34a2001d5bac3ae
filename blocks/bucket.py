"""The bucket block: a directory on this machine, or any S3."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr

from blocks.block import LimnerBlock
from limner.bucket import Bucket
from limner.errors import BadInput
from limner.settings import Settings


class LimnerBucket(LimnerBlock):
    """Where pictures, reports and contact sheets lie."""

    _block_type_name: ClassVar[str] = "Limner Bucket"
    _block_type_slug: ClassVar[str] = "limner-bucket"
    _description: ClassVar[str] = "Where Limner keeps pictures: a directory on one machine, or any S3."

    kind: Literal["directory", "s3"] = Field(default="directory", title="Kind")
    folder: str = Field(default="", title="Folder", description="Of a directory bucket.")
    endpoint: str = Field(default="", title="Endpoint", description="Of S3: host:port, or http(s)://host:port.")
    name: str = Field(default="limner", title="Bucket name", description="Of S3.")
    access_key: SecretStr | None = Field(default=None, title="Access key")
    secret_key: SecretStr | None = Field(default=None, title="Secret key")
    region: str = Field(default="us-east-1", title="Region")
    secure: bool = Field(default=True, title="TLS")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        if settings.s3_endpoint is None:
            return cls(kind="directory", folder=str(settings.bucket_folder))
        return cls(
            kind="s3",
            endpoint=settings.s3_endpoint,
            name=settings.s3_bucket,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            region=settings.s3_region,
            secure=settings.s3_secure,
        )

    def open(self) -> Bucket:
        """Return the bucket; nothing is asked of it yet."""
        if self.kind == "directory":
            from limner.bucket.directory import DirectoryBucket  # noqa: PLC0415

            if not self.folder:
                raise BadInput("The directory bucket has no folder; fill in `folder` of the block limner-bucket.")
            return DirectoryBucket(Path(self.folder))
        from limner.bucket.s3 import S3Bucket  # noqa: PLC0415 - the client is loaded where S3 is used

        if self.access_key is None or self.secret_key is None:
            raise BadInput(
                "The S3 bucket has no keys; set LIMNER_S3_ACCESS_KEY and LIMNER_S3_SECRET_KEY, or fill in the block."
            )
        return S3Bucket(
            self.endpoint,
            self.name,
            self.access_key.get_secret_value(),
            self.secret_key.get_secret_value(),
            region=self.region,
            secure=self.secure,
        )
