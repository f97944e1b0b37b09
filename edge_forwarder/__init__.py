"""The edge forwarder: measurements from MQTT and OPC UA to the log, through a buffer on disk.

Invariants: a broker is told that a message is ours only once the message is on disk; what is on disk reaches the log at
least once and in the order of arrival, whatever dies in between; what can't be kept is counted, never silently lost.
"""
