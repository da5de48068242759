"""The full stack: ``make up``, ``down``, ``preview``, ``logs``, ``status``, ``env`` and more."""
