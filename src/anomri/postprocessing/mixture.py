r"""Two-component Gaussian mixture with neighbourhood weights.

Weninger et al., section 4.3. With the weights :math:`W_{ik}` of the eight neighbours of voxel *i*
in its axial slice, eqs. (1) and (2) are

.. math::
    p(k | x_i) = \frac{\alpha_k W_{ik} p_k(x_i)}{\sum_j \alpha_j W_{ij} p_j(x_i)}, \qquad
    W_{ik} = \frac{1}{|N_i|} \sum_{n \in N_i} p(k | x_n),

where the right-hand side of (2) uses the posteriors of the previous step. The M-step is the usual
one. The paper leaves three points open: here the initial posteriors are those of a plain
two-component fit, neighbours outside the brain are not in :math:`N_i`, and a voxel without
neighbours has :math:`W_{ik} = 1/2`.

Only the second component's posterior is stored: :math:`W_i / (W_i + (1 - W_i) r_i)` with the odds
:math:`r_i = \alpha_0 p_0(x_i) / \alpha_1 p_1(x_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anomri.postprocessing.gaussians import Array, fit_plain
from anomri.postprocessing.morphology import crop_around
from anomri.postprocessing.neighbourhood import Field
from anomri.postprocessing.threads import run_in_parallel
from anomri.scan import Mask, Volume


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """A fitted mixture.

    Attributes:
        posterior: (I, J, K) probability of the brighter component, 0 outside the brain.
        means: (2,) of the darker and the brighter component, in the units of the map.
        deviations: (2,) standard deviations.
        weights: (2,) mixing weights.
        iterations: number of EM steps.
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
        max_iterations: limit of the EM steps; the plain fit that comes first has the same limit.
        tolerance: smallest change of the mean log-likelihood per voxel to continue.

    Returns:
        The fit. If all values are equal the posterior is 0 everywhere; if a component vanishes,
        the parameters are those of the step before.
    """
    posterior = np.zeros(values.shape, dtype=np.float32)
    box = crop_around(brain)
    # Scans read from NIfTI files are in Fortran order.
    values, brain = np.ascontiguousarray(values[box]), np.ascontiguousarray(brain[box])
    inside = values[brain]
    exact = inside.astype(np.float64)
    shift, scale = (exact.mean(), exact.std()) if exact.size else (np.float64(0), np.float64(0))
    if scale == 0.0:
        nothing = np.zeros(2)
        return MixtureFit(posterior, nothing + shift, nothing, np.array([1.0, 0.0]), 0)
    plain, field = run_in_parallel(
        lambda: fit_plain((np.sort(inside) - shift) / scale, max_iterations, tolerance),
        lambda: Field(values, brain, shift, scale),
    )
    gaussians, second, iterations = field.fit(plain, max_iterations, tolerance)
    order = np.argsort(gaussians.means, kind="stable")
    posterior[box] = second if order[0] == 0 else np.where(brain, 1 - second, 0)
    return MixtureFit(
        posterior,
        gaussians.means[order] * scale + shift,
        np.sqrt(gaussians.variances[order]) * scale,
        gaussians.weights[order],
        iterations,
    )
