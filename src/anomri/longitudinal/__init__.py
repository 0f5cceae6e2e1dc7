"""Change over time: the same lesions at several time points of one subject."""

from anomri.longitudinal.change import ChangeClass, MeasuredVolume
from anomri.longitudinal.evolution import Evolution, follow
from anomri.longitudinal.evolution_table import write_evolution_tables
from anomri.longitudinal.halfway import Halfway
from anomri.longitudinal.interval import LesionChange
from anomri.longitudinal.output import refuse_foreign_files, write_evolution
from anomri.longitudinal.record import EvolutionRecord, PointFacts, read_evolution
from anomri.longitudinal.time_points import TimePoint, read_time_point

__all__ = [
    "ChangeClass",
    "Evolution",
    "EvolutionRecord",
    "Halfway",
    "LesionChange",
    "MeasuredVolume",
    "PointFacts",
    "TimePoint",
    "follow",
    "read_evolution",
    "read_time_point",
    "refuse_foreign_files",
    "write_evolution",
    "write_evolution_tables",
]
