from __future__ import annotations

import pytest

from anomri.preprocessing import template_tissue_at


@pytest.mark.parametrize(
    ("place", "tissue"),
    [
        ((28, 20, 20), "white matter"),  # centrum semiovale
        ((26, 4, 2), "grey matter"),  # putamen
        ((-12, -18, 8), "grey matter"),  # thalamus
        ((0, 10, 20), "white matter"),  # corpus callosum
        ((8, -10, 22), "cerebrospinal fluid"),  # lateral ventricle
        ((0, 0, 110), ""),  # above the brain
        ((500, -500, 500), ""),  # off the template
        ((-500, 0, 0), ""),
    ],
)
def test_known_places_have_their_tissue(place: tuple[float, float, float], tissue: str) -> None:
    assert template_tissue_at(place) == tissue
