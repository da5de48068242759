"""The engine side: connections to the engine, its models, and admission to it."""
