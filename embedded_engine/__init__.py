"""Mistral.rs from its Python wheel, behind the OpenAI endpoints that its own server has.

For `make demo` and for machines that can't reach a container registry. Imports nothing from the
rest of the project, which talks to it only over HTTP.
"""
