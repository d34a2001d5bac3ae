"""HTTP to strangers, for whoever must speak it: `Web` is one service, `network` is what any connection must hold to."""

from limner.web.network import ForbiddenAddress
from limner.web.service import Reply, Web

__all__ = ["ForbiddenAddress", "Reply", "Web"]
