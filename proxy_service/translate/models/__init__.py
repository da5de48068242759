"""Models: their names, how the engine lists them, and what Ollama's API shows of them."""
