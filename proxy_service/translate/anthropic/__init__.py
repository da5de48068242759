"""Translates Anthropic's Messages API into chat completions and back, as Ollama does.

It is used for engines that have no ``/v1/messages`` of their own.
"""
