"""The Faust shell: a lane for high-rate measurements, agents, checkpoints, dead letters and the outbox relay.

All decisions are made in ``processors``; this package moves records and keeps the exactness protocol
(``docs/adr/0001-exactness-protocol.md``).
"""
