"""The product as containers: the compose stack, its image, and Grafana's dashboards made as code.

Nothing of the product imports this package.
"""
