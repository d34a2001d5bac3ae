"""What apps may ask for: each kind is the deployment, and the flow, of that name, and takes this request."""

from collections.abc import Mapping

from limner.requests import BookRequest, ChapterRequest, IllustrationRequest

KINDS: Mapping[str, type[IllustrationRequest]] = {
    "illustrate-chapter": ChapterRequest,
    "illustrate-book": BookRequest,
}

# Of these somebody waits for the pictures, unless the app says otherwise; a whole book takes its time.
AWAITED = frozenset({"illustrate-chapter"})

# Work queues, by whether somebody waits.
QUEUES = {True: "interactive", False: "batch"}
