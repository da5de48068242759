"""Mistral.rs from its Python wheel, behind the OpenAI endpoints that its own server has.

For `make demo` and for machines that reach no container registry. Imports nothing of the rest
of the project, and the rest talks to it over HTTP only.
"""
