"""What the API answers, one module per resource, each a table of operations."""
