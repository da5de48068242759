"""The endpoints: each parses, translates, calls the engine, translates back and responds."""
