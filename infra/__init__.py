"""The Pulumi program: what runs where, and how it is wired together."""
