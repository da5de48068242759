"""Pure translation between the two APIs: no socket, clock, environment or randomness here."""
