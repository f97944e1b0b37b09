"""The shared words of Faultline: records, units, topics, errors and ports.

Every other package may import this one; this one imports none of them.
"""
