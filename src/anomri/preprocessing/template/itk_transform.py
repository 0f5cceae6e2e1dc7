"""The transform to the template as a file of ITK, which ANTs, 3D Slicer and fMRIPrep read."""

from __future__ import annotations

import numpy as np

from anomri.scan import Affine

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's axes point left and back


def itk_transform(to_template: Affine) -> str:
    """Return the text of the transform that resamples a scan onto the template.

    ITK maps points of the result to points of the input: the text holds the way from the template
    to the scan, in LPS mm. Read by ``SimpleITK.ReadTransform`` and ``antsApplyTransforms``.

    Args:
        to_template: (4, 4) world mm (RAS) of the scan to template mm.
    """
    matrix = LPS @ np.linalg.inv(to_template) @ LPS
    numbers = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    return (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(repr(float(number)) for number in numbers)}\n"
        "FixedParameters: 0 0 0\n"
    )
