"""The REST interface: thin, over ``contracts.ports`` alone; ``runtime`` binds the ports and serves it."""
