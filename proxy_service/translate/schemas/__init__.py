"""Translates JSON Schemas for the engine's grammar, so that they do what they do in Ollama.

Mistral.rs turns a schema into a grammar by llguidance. That grammar lets a model add keys, blanks
and digits without end, and refuses keywords that it lacks. Ollama's grammar, which is llama.cpp's,
bounds the former and ignores the latter. So does a translated schema:

- An object with ``properties`` has no others, unless the schema allows them.
- There are no blanks between tokens, and integers have at most 16 digits.
- What the grammar can't hold is left out, and its keyword is reported as *loosened*.

A reply that matches the translated schema matches the original, except for what was loosened.

Source: llguidance 1.4.0 and 1.9.1, in ``src/json``, and trials with both.
"""
