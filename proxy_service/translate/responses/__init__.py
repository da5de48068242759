"""Translates OpenAI's Responses API into chat completions and back, as Ollama does.

It is used for engines that have no ``/v1/responses`` of their own. Nothing is kept between
requests: each has the whole conversation.
"""
