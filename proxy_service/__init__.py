"""The proxy: Ollama's HTTP API and Prometheus metrics in front of Mistral.rs."""

VERSION = "0.1.0"
