"""edge_forwarder."""
