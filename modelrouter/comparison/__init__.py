"""Compares two policies, and says who may receive what: for reviewers of policies.

`comparing` is the place to begin: what a new policy allows that the old one forbids.
`receiving` answers which models may receive a call.
"""
