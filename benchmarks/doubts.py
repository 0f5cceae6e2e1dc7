"""How often is a scan that is given as another contrast noticed, and a right one accused?

    python benchmarks/doubts.py DATA [--split train]

``DATA`` holds the data sets of ``splits.tsv``. Every file is prepared alone; a line per set and
contrast says in how many scans something was said of it, as what it is and as what it is not. The
limits were chosen on the split ``train``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from anomri.datasets import find
from anomri.errors import ScanError
from anomri.pipeline import Selection
from anomri.preprocessing import prepare_images
from anomri.preprocessing.brain.plausibility import template_mismatch
from anomri.preprocessing.template.contrast_check import contrast_mismatch, swapped_contrasts
from anomri.preprocessing.template.contrast_features import (
    ContrastFeatures,
    ScannedTissues,
    contrast_features,
)
from anomri.preprocessing.template.mni152 import template_registration_image
from anomri.preprocessing.template.rough_registration import (
    SPACING_MM,
    register_by_intensities,
)
from anomri.preprocessing.template.template_registration import half_turn_axis
from anomri.recipe import Preparation, Step
from anomri.scan import ScanFiles

FOLDERS = ("nichart", "ixi_t1", "ms3seg_bids", "wmh", "open_ms_data/cross_sectional", "brats2018")
GIVEN = ("flair", "t1ce", "t2")
PREPARATION = Preparation(spacing_mm=(1.5, 1.5, None), intensity=Step(name="zscore"))
Answers = defaultdict[str, list[bool]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--split", default="train")
    words = parser.parse_args()
    chosen = Selection.of_split(words.split_file or words.data / "splits.tsv", words.split)
    for folder in FOLDERS:
        scans = [files for files in find(words.data / folder).scans if files in chosen]
        show(folder.split("/")[0], scans)


def show(name: str, scans: list[ScanFiles]) -> None:
    """Print the lines of a data set."""
    answers: Answers = defaultdict(list)
    for files in scans:
        try:
            looks = {held: looked_at(files, held, answers) for held in files.contrasts}
        except ScanError as error:
            print(error)
            continue
        compare({held: look for held, look in looks.items() if look}, answers)
    for question, told in sorted(answers.items()):
        print(f"{name:14}{question:30}{sum(told):3} of {len(told)}", flush=True)


def looked_at(files: ScanFiles, held: str, answers: Answers) -> ContrastFeatures | None:
    """Prepare one contrast alone; say whether its brain was doubted, and how it looks."""
    scan = prepare_images({held: files.contrasts[held]}, PREPARATION, (held,))
    fixed = template_registration_image(SPACING_MM)
    moving, match = register_by_intensities(scan.image[0], scan.brain, scan.grid)
    doubted = template_mismatch(fixed, moving, match) or half_turn_axis(fixed, moving)
    answers[f"{held} as no brain"].append(bool(doubted))
    tissues = ScannedTissues.of(scan.brain, scan.grid, match.matrix)
    return None if tissues is None else contrast_features(scan.image[0], tissues)


def compare(looks: Mapping[str, ContrastFeatures], answers: Answers) -> None:
    """Give each contrast as each, and each pair in both orders."""
    for held, look in looks.items():
        for given in {*GIVEN, held} - ({"t1ce"} if held == "t1" else set()):
            answers[f"{held} as {given}"].append(bool(contrast_mismatch(given, look)))
    for name in {"t1", "t1ce"} & set(looks) if "flair" in looks else set():
        right = {"flair": looks["flair"], name: looks[name]}
        answers[f"flair and {name}, right"].append(bool(swapped_contrasts(right)))
        wrong = {"flair": looks[name], name: looks["flair"]}
        answers[f"flair and {name}, exchanged"].append(bool(swapped_contrasts(wrong)))


if __name__ == "__main__":
    main()
