from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anomri.datasets import find

Lay = Callable[..., Path]
MNI = "cross_sectional/MNI/patient19/"
RAW = "longitudinal/raw/patient01/"
TAIL = "_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"


def test_cross_sectional(lay: Lay) -> None:
    root = lay(
        *(f"{MNI}{word}{TAIL}" for word in ("FLAIR", "T1", "T1POST", "T2")),
        f"{MNI}GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz",
    )
    found = find(root)
    assert (found.layout, found.skipped) == ("open_ms", ())
    (scan,) = found.scans
    assert (scan.subject, scan.session, scan.healthy) == ("patient19", None, False)
    assert {name: path.name.split("_")[0] for name, path in scan.contrasts.items()} == {
        "flair": "FLAIR",
        "t1": "T1",
        "t1ce": "T1POST",
        "t2": "T2",
    }
    assert scan.truth is not None
    assert scan.truth.name.startswith("GOLD_STANDARD")


def test_raw_cross_sectional_names(lay: Lay) -> None:
    folder = "cross_sectional/raw/patient02/"
    names = ("patient02_FLAIR", "T1W", "T1WKS", "T2W", "patient02_consensus_gt", "brainmask")
    root = lay(*(f"{folder}{name}.nii.gz" for name in names))
    (scan,) = find(root).scans
    assert scan.contrasts["t1ce"].name == "T1WKS.nii.gz"
    assert scan.contrasts["t1"].name == "T1W.nii.gz"
    assert scan.truth == root / folder / "patient02_consensus_gt.nii.gz"
    assert scan.brain == root / folder / "brainmask.nii.gz"


def test_longitudinal_studies_are_sessions_of_a_patient_of_its_own(lay: Lay) -> None:
    root = lay(
        *(f"{RAW}study{k}_{word}.nii.gz" for k in (1, 2) for word in ("FLAIR", "T1W")),
        f"{RAW}brainmask.nii.gz",
        f"{RAW}gt.nii.gz",
        "cross_sectional/raw/patient01/FLAIR.nii.gz",
    )
    found = find(root)
    assert [scan.label for scan in found.scans] == [
        "sub-patient01",
        "sub-longitudinalpatient01_ses-study1",
        "sub-longitudinalpatient01_ses-study2",
    ]
    assert found.scans[1].contrasts["flair"].name == "study1_FLAIR.nii.gz"
    assert found.scans[2].brain == root / RAW / "brainmask.nii.gz"
    assert found.scans[2].truth is None
    assert [item.name for item in found.skipped] == [f"{RAW}gt.nii.gz"]
    assert "changes" in found.skipped[0].reason


def test_the_most_processed_stage_wins(lay: Lay) -> None:
    stages = ("raw", "coregistered", "coregistered_resampled", "MNI")
    root = lay(*(f"cross_sectional/{stage}/patient07/FLAIR.nii.gz" for stage in stages))
    found = find(root)
    assert [scan.contrasts["flair"].parts[-3] for scan in found.scans] == ["MNI"]
    assert len(found.skipped) == 3


def test_a_patient_folder_alone(lay: Lay) -> None:
    root = lay(f"{MNI}FLAIR{TAIL}", f"{MNI}unknown.nii.gz") / MNI
    found = find(root)
    assert [scan.subject for scan in found.scans] == ["patient19"]
    assert [item.name for item in found.skipped] == ["unknown.nii.gz"]
