"""What the operator sees and types: messages, a status line, Ctrl-C."""
