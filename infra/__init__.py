"""The Pulumi program: which containers run, and what Grafana holds."""
