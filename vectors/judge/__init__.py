"""Judges of the cases: one module an area, each with `judge(case)`."""
