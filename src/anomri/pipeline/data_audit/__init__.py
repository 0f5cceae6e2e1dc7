"""Audit of a data set: what is wrong with its files before anything is learnt or measured."""

from anomri.pipeline.data_audit.audit import audit
from anomri.pipeline.data_audit.problems import Problem

__all__ = ["Problem", "audit"]
