"""Where lesions lie: side and zone of each, and their sums by place."""

from anomri.postprocessing.location.lesion_position import GEOMETRIC, Places
from anomri.postprocessing.location.sums import in_words, sum_by_place
from anomri.postprocessing.location.zones import located_findings, with_locations

__all__ = ["GEOMETRIC", "Places", "in_words", "located_findings", "sum_by_place", "with_locations"]
