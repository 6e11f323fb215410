"""What of the anomalous lines is told, and when: few alerts, each explained, nothing hidden."""
