"""The one-page report of a diagnosis: what was measured, what stands out, and what that means.

The picture is drawn by Matplotlib, which is no part of a running worker: it belongs to the dependency group ``report``
and is imported when a report is asked for.
"""
