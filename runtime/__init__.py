"""The composition root: reads settings, starts the parts, binds adapters to ports, and is the command line.

Nothing imports this package; importing it starts nothing.
"""
