r"""Two Gaussian components whose voxels listen to their neighbours.

Weninger et al., section 4.3. With the weights :math:`W_{ik}` of the eight neighbours of voxel *i*
in its axial slice, eqs. (1) and (2) are

.. math::
    p(k | x_i) = \frac{\alpha_k W_{ik} p_k(x_i)}{\sum_j \alpha_j W_{ij} p_j(x_i)}, \qquad
    W_{ik} = \frac{1}{|N_i|} \sum_{n \in N_i} p(k | x_n),

with the posteriors of the step before on the right of (2). The M-step is the usual one. The paper
leaves open, and this module decides: the first posteriors are those of a plain two-component fit;
neighbours outside the brain do not count in :math:`N_i`; a voxel without neighbours has
:math:`W_{ik} = 1/2`.

Of two components it is enough to follow one: its posterior is :math:`W_i / (W_i + (1 - W_i) r_i)`
with the odds :math:`r_i = \alpha_0 p_0(x_i) / \alpha_1 p_1(x_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anomri.postprocessing.gaussians import Array, fit_plain
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.neighbourhood import Field
from anomri.postprocessing.threads import together
from anomri.scan import Mask, Volume


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """A fitted mixture.

    Attributes:
        posterior: (I, J, K) probability of the brighter component, 0 outside the brain.
        means: (2,) of the darker and the brighter component, in the units of the map.
        deviations: (2,) their standard deviations.
        weights: (2,) their shares.
        iterations: steps taken.
    """

    posterior: Volume
    means: Array
    deviations: Array
    weights: Array
    iterations: int


def fit_mixture(
    values: Volume, brain: Mask, *, max_iterations: int = 100, tolerance: float = 1e-4
) -> MixtureFit:
    """Fit the neighbourhood-weighted mixture to the values inside the brain.

    Args:
        values: (I, J, K) map; slices are along K.
        brain: (I, J, K).
        max_iterations: the most steps; as many again for the plain fit that comes first.
        tolerance: least change of the mean log-likelihood per voxel worth another step.

    Returns:
        The fit. Where there are no two different values its posterior is 0 everywhere; where one
        component loses its last voxel on the way, the parameters are those of the step before.
    """
    posterior = np.zeros(values.shape, dtype=np.float32)
    box = crop_around(brain)
    # In the order of the axes: scans come from their files the other way round.
    values, brain = np.ascontiguousarray(values[box]), np.ascontiguousarray(brain[box])
    inside = values[brain]
    exact = inside.astype(np.float64)
    shift, scale = (exact.mean(), exact.std()) if exact.size else (np.float64(0), np.float64(0))
    if scale == 0.0:
        nothing = np.zeros(2)
        return MixtureFit(posterior, nothing + shift, nothing, np.array([1.0, 0.0]), 0)
    plain, field = together(
        lambda: fit_plain((np.sort(inside) - shift) / scale, max_iterations, tolerance),
        lambda: Field(values, brain, shift, scale),
    )
    gaussians, found, iterations = field.fit(plain, max_iterations, tolerance)
    order = np.argsort(gaussians.means, kind="stable")
    posterior[box] = found if order[0] == 0 else np.where(brain, 1 - found, 0)
    return MixtureFit(
        posterior,
        gaussians.means[order] * scale + shift,
        np.sqrt(gaussians.variances[order]) * scale,
        gaussians.weights[order],
        iterations,
    )
