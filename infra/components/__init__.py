"""One component for each service of the stack, and one for Grafana's content."""
