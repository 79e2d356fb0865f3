"""Fitting a model to data: what the data are, what each head could reach on them, and a config.

:func:`~mmdet_lordre.planning.plan.make_plan` does all of it; the rules, with where each comes from,
are in docs/planning.md.
"""
