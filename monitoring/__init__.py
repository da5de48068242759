"""Names and thresholds that alerts, dashboard, stack and operator commands share."""
