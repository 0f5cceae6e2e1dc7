from __future__ import annotations

import pytest

from anomri.datasets.file_names import folder_role, parse_name


@pytest.mark.parametrize(
    ("name", "role", "subject"),
    [
        ("Subj16_FL", "flair", "Subj16"),
        ("IXI012-HH-1211_T1", "t1", "IXI012-HH-1211"),
        ("IXI012-HH-1211_T1_DLMUSE", "brain", "IXI012-HH-1211"),
        ("Subj16_FL_DLWMLS", "truth", "Subj16"),
        ("p1_T2-FLAIR", "flair", "p1"),
        ("p1_T2FLAIR", "flair", "p1"),
        ("p1_3DFLAIR", "flair", "p1"),
        ("p1-t2f", "flair", "p1"),
        ("p1_T2w", "t2", "p1"),
        ("p1_t1_post", "t1ce", "p1"),
        ("p1_T1Gd", "t1ce", "p1"),
        ("p1_ce_T1w", "t1ce", "p1"),
        ("p1_t1_mprage_post_contrast", "t1ce", "p1"),
        ("p1_post_contrast_T1w", "t1ce", "p1"),
        ("p1_t1_tra_km", "t1ce", "p1"),
        ("t1_007_km", "t1ce", "007_km"),
        ("p1_t1_pre_contrast", "t1", "p1"),
        ("p1_t1_without_km", "t1", "p1"),
        ("p1_t2_tirm_dark-fluid", "flair", "p1"),
        ("p1_dark-fluid", "flair", "p1"),
        ("p1_t2_spc_darkfl_sag", "flair", "p1"),
        ("p1_T2_to_FLAIR", "t2", "p1"),
        ("ce_01_flair", "flair", "ce_01"),
        ("p1 t1c", "t1ce", "p1"),
        ("p1.t1n", "t1", "p1"),
        ("p1_mprage", "t1", "p1"),
        ("p1_T1_to_FLAIR", "t1", "p1"),
        ("flair", "flair", ""),
        ("lesion", "truth", ""),
        ("mask_007", "truth", "007"),
        ("flair_seg", "truth", ""),
        ("seg_flair", "truth", ""),
        ("p1_seg_flair", "truth", "p1"),
        ("WMH_001_flair", "flair", "WMH_001"),
        ("p1_brain_mask", "brain", "p1"),
        ("p1_flair_brainmask", "brain", "p1"),
        ("p1_flair_brain", "flair", "p1"),
        ("p1_brain", "brain", "p1"),
        ("p1_brain_lesion", "truth", "p1"),
        ("FLAIR_N4_regtoFLAIR_brain_N4_regtoMNI", "flair", "N4_regtoFLAIR_brain_N4_regtoMNI"),
        ("GOLD_STANDARD_N4", "truth", "N4"),
        ("p1_dwi", "other", "p1"),
        ("p1_t2star", "other", "p1"),
        ("Patient_17", None, "Patient_17"),
        ("flux_capacitor", None, "flux_capacitor"),
    ],
)
def test_names_are_read_by_the_documented_rules(name: str, role: str | None, subject: str) -> None:
    reading = parse_name(name)
    assert (reading.role, reading.subject) == (role, subject)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("t1", "t1"),
        ("fl", "flair"),
        ("dlmuse_seg", "brain"),
        ("wmh_auto", "truth"),
        ("labelsTr", "truth"),
        ("masks", "truth"),
        ("lesion_07", None),
        ("2516041494", None),
        ("dwi", None),
        ("patients", None),
    ],
)
def test_folders_of_a_role_are_distinguished_from_subjects(name: str, role: str | None) -> None:
    assert folder_role(name) == role
