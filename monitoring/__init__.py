"""What the alerts, the dashboard, the stack and the operator commands share; owned by none."""
