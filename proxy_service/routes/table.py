"""The route table: every path with its methods, its handler and its name in the metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy_service.routes import embeddings, generation, models, openai, probes
from proxy_service.server.connection import HTTPResponse
from proxy_service.telemetry.metrics import UNMATCHED, Endpoint
from proxy_service.wire.compression import CODINGS

Handler = Callable[..., Awaitable[HTTPResponse | None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    ``endpoint`` is its label, `UNMATCHED` if it has none of its own. ``codings`` are the content
    codings in which its bodies may be compressed.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler
    endpoint: Endpoint = UNMATCHED
    codings: tuple[str, ...] = ()


_GET = ("GET", "HEAD")
_POST = ("POST",)

ROUTES = (
    Route("/", _GET, probes.root),
    Route("/livez", _GET, probes.livez),
    Route("/readyz", _GET, probes.readyz),
    Route("/metrics", _GET, probes.metrics),
    Route("/api/metrics", _GET, probes.metrics),
    Route("/api/chat", _POST, generation.chat, "chat"),
    Route("/api/generate", _POST, generation.generate, "generate"),
    Route("/api/embed", _POST, embeddings.embed, "embed"),
    Route("/api/embeddings", _POST, embeddings.embeddings, "embeddings"),
    Route("/api/tags", _GET, models.tags, "tags"),
    Route("/api/ps", _GET, models.ps, "ps"),
    Route("/api/show", _POST, models.show, "show"),
    Route("/api/version", _GET, models.version, "version"),
    Route("/api/pull", _POST, models.pull, "pull"),
    Route("/api/push", _POST, models.push, "push"),
    Route("/api/create", _POST, models.create, "create"),
    Route("/api/copy", _POST, models.copy, "copy"),
    Route("/api/delete", ("DELETE",), models.delete, "delete"),
    Route("/api/status", _GET, models.status),
    Route("/api/me", _POST, models.account),
    Route("/api/signout", _POST, models.signout),
    Route("/api/user/keys/<key:str>", ("DELETE",), models.signout),
    Route("/api/experimental/web_search", _POST, models.web),
    Route("/api/experimental/web_fetch", _POST, models.web),
    Route("/api/experimental/model-recommendations", _GET, models.recommendations),
    Route("/api/blobs/<digest:str>", ("HEAD",), models.has_blob, "blobs"),
    Route("/api/blobs/<digest:str>", _POST, models.create_blob, "blobs"),
    Route("/v1/models", _GET, openai.models, "v1_models"),
    Route("/v1/models/<name:path>", _GET, openai.model, "v1_models"),
    Route("/v1/chat/completions", _POST, openai.generate, "v1_chat_completions"),
    Route("/v1/completions", _POST, openai.generate, "v1_completions"),
    Route("/v1/embeddings", _POST, openai.generate, "v1_embeddings"),
    # Codex may compress its requests; Ollama accepts that here only, too.
    Route("/v1/responses", _POST, openai.generate, "v1_responses", CODINGS),
    Route("/v1/messages", _POST, openai.generate, "v1_messages"),
    Route("/v1/messages/count_tokens", _POST, openai.generate),
    Route("/v1/audio/transcriptions", _POST, openai.transcriptions),
)
