"""The full stack: ``make up``, ``down``, ``preview``, ``logs``, ``status`` and ``env``."""
