"""OpenAI's Images API as a provider: `provider` asks and reads, `contract` knows what its models take and cost."""

from limner.providers.openai.provider import NAME, OpenAI

__all__ = ["NAME", "OpenAI"]
