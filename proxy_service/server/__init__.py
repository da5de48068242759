"""The clients' side: connections, requests, and who may send them."""
