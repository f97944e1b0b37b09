"""Local services: what no URL points to is started as a child process on loopback, and stopped again.

Importing this package starts nothing. ``local`` is the entry; ``processes`` also serves our own child processes.
"""
