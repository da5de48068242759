"""The paths of the engine that the proxy calls, each with its operation in the metrics."""

CHAT_COMPLETIONS = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"
RELOAD = "/v1/models/reload"
UNLOAD = "/v1/models/unload"

# APIs that not every engine has; one that lacks another path isn't Mistral.rs.
OPTIONAL = (RESPONSES, MESSAGES, COUNT_TOKENS)

OPERATIONS = {
    CHAT_COMPLETIONS: "chat",
    COMPLETIONS: "completions",
    EMBEDDINGS: "embeddings",
    RESPONSES: "responses",
    MESSAGES: "messages",
    COUNT_TOKENS: "count_tokens",
    MODELS: "models",
    RELOAD: "load",
    UNLOAD: "unload",
}
