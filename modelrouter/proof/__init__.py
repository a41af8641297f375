"""What can be proved of a policy: regions of requests, computed exactly, without sampling.

`space` and `coherence` say what a region is, `conditions` turns matchers into regions, `guarding`
and `universal` say what the guard allows, `serving` what has a candidate, `proving` proves claims.
"""

from modelrouter.proof.proving import Claims, Proof, prove, prove_all

__all__ = ["Claims", "Proof", "prove", "prove_all"]
