"""Alarms to webhooks by the Standard Webhooks specification: message, signature, guarded sending, retries.

Import from the modules: a worker needs ``message`` alone, and must not load an HTTP client at every start for it.
"""
