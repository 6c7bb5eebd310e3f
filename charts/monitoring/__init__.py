"""The Grafana dashboards as code; ``python -m charts.monitoring FOLDER`` writes them as JSON."""
