"""The clients' side: their connections, their requests, who may call."""
