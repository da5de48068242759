"""Which setting of the stack sets which of the proxy's variables.

The proxy knows these names only for its errors: people who run the stack set no variables.
"""

# The stack's setting (in `Pulumi.yaml`) of each variable. Two variables have none: in the stack's
# container `BIND_ADDRESS` is fixed, and `METRICS_KEY` is derived from `apiKey`.
STACK_SETTINGS = {
    "MISTRAL_URL": "mistralUrl",
    "LOG_LEVEL": "logLevel",
    "LOG_FORMAT": "logFormat",
    "ENGINE_CONNECT_TIMEOUT": "engineConnectTimeoutSeconds",
    "ENGINE_SILENCE_TIMEOUT": "engineSilenceTimeoutSeconds",
    "ENGINE_REPLY_TIMEOUT": "engineReplyTimeoutSeconds",
    "ENGINE_KEEP_ALIVE": "engineKeepAliveSeconds",
    "ENGINE_PROBE_INTERVAL": "engineProbeIntervalSeconds",
    "ENGINE_PROBE_TIMEOUT": "engineProbeTimeoutSeconds",
    "CLIENT_REQUEST_TIMEOUT": "clientRequestTimeoutSeconds",
    "CLIENT_STALL_TIMEOUT": "clientStallTimeoutSeconds",
    "CLIENT_KEEP_ALIVE": "clientKeepAliveSeconds",
    "SHUTDOWN_GRACE": "shutdownGraceSeconds",
    "MAX_CONCURRENT_REQUESTS": "maxConcurrentRequests",
    "MAX_QUEUED_REQUESTS": "maxQueuedRequests",
    "MAX_CONNECTIONS": "maxConnections",
    "MODEL_ALIASES": "modelAliases",
    "MODEL_DETAILS": "modelDetails",
    "MODEL_UNLOAD": "modelUnload",
    "OLLAMA_KEEP_ALIVE": "keepAlive",
    "OLLAMA_MAX_LOADED_MODELS": "maxLoadedModels",
    "MAX_BODY_MIB": "maxBodyMib",
    "MAX_UNPACKED_MIB": "maxUnpackedMib",
    "OLLAMA_ORIGINS": "allowedOrigins",
    "ALLOWED_HOSTS": "allowedHosts",
    "API_KEY": "apiKey",
    "ALLOW_UNAUTHENTICATED": "allowUnauthenticated",
    "ALLOW_ENGINE_TOOLS": "allowEngineTools",
    "OLLAMA_VERSION": "ollamaVersion",
}


def named(variable: str) -> str:
    """Return a variable's name for an error, with the name of the stack's setting."""
    return f"{variable} (the stack's {STACK_SETTINGS[variable]})"
