"""Small changes of a policy that its tests and claims ought to notice.

`operators` is the table of changes, `matcher_changes` what can be done to a condition.
`difference` says whether a change changes any decision, `judging` puts a policy's tests and
claims to them.
"""

__all__: list[str] = []
