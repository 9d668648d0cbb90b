"""Is memorization local? Statistics of triggers: where they lie, what they activate, what they select.

The three analyses of Finding DoRI (arXiv 2507.16880), with the baselines that decide what their
numbers mean.
"""
