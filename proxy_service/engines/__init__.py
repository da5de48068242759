"""The engine's side: connections to it, its models, the places at it."""
