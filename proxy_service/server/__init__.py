"""The client side: connections, requests, and who may send them."""
