"""Steps of an analysis as a paper would name them, each with the paper that introduced it."""

from __future__ import annotations

from typing import NamedTuple

from anomri.scan import COMPETE, CONFIRMED_BRIGHTNESS, CORRECT, NAME_REGIONS, NoteKind

WENINGER = (
    "Weninger L, Krauhausen I, Merhof D. Semantic segmentation of brain tumors in MRI data "
    "without any labels. 2019."
)
LAMBERT = (
    "Lambert B, Louis M, Doyle S, Forbes F, Dojat M, Tucholka A. Leveraging 3D information in "
    "unsupervised brain MRI segmentation. 2021."
)
PAOLINI = (
    "Paolini G, Boracchi G, Matteucci M. Unsupervised detection of lesion in brain MRI using "
    "context encoding autoencoders."
)
MEISSEN = (
    "Meissen F, Kaissis G, Rueckert D. Challenging current semi-supervised anomaly segmentation "
    "methods for brain MRI. 2021. arXiv:2109.06023."
)
MYRONENKO = (
    "Myronenko A. 3D MRI brain tumor segmentation using autoencoder regularization. 2018. "
    "arXiv:1810.11654."
)
ZHU = (
    "Zhu SC, Yuille A. Region competition: unifying snakes, region growing, and Bayes/MDL for "
    "multiband image segmentation. IEEE Trans Pattern Anal Mach Intell 1996;18:884-900."
)
BRINKMANN = (
    "Brinkmann BH, Manduca A, Robb RA. Optimized homomorphic unsharp masking for MR grayscale "
    "inhomogeneity correction. IEEE Trans Med Imaging 1998;17:161-171."
)
POHL = (
    "Pohl KM, et al. Using the logarithm of odds to define a vector space on probabilistic "
    "atlases. Med Image Anal 2007;11:465-477."
)
TUSTISON = (
    "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE "
    "Transactions on Medical Imaging 2010;29:1310-1320."
)
FONOV = (
    "Fonov V, Evans AC, Botteron K, et al. Unbiased average age-appropriate atlases for "
    "pediatric studies. NeuroImage 2011;54:313-327."
)
FISCH = (
    "Fisch L, Zumdick S, Barkhau C, et al. deepbet: fast brain extraction of T1-weighted MRI "
    "using convolutional neural networks. Computers in Biology and Medicine 2024;179:108845."
)
ISENSEE = (
    "Isensee F, Schell M, Pflueger I, et al. Automated brain extraction of multisequence MRI "
    "using artificial neural networks. Human Brain Mapping 2019;40:4952-4964."
)


class Described(NamedTuple):
    """A step in words, and the paper that introduced it, if any."""

    phrase: str
    paper: str = ""


STEPS = {
    "n4": Described("N4", TUSTISON),
    "template": Described("the symmetric MNI152 template, ICBM 2009a", FONOV),
    "zscore": Described("mean and standard deviation"),
    "percentile": Described("percentiles"),
    "equalised": Described("histogram equalisation"),
    "standardised": Described("median and robust standard deviation"),
    "residual": Described("the difference between the scan and its reconstruction"),
    "segment": Described("the network's probability of a lesion in each voxel"),
    "segment_coarsely": Described(
        "the network's probability of a lesion in each voxel of a downsampled copy"
    ),
    CONFIRMED_BRIGHTNESS: Described(
        "brightness relative to the brain without its linear bias field, lowered where the network "
        "sees no lesion and in grey matter"
    ),
    "erode_brain": Described("erosion of the brain mask"),
    "median": Described("a median filter"),
    "standardise": Described(
        "standardisation by the scan's own median and median absolute deviation"
    ),
    "subtract_field": Described("subtraction of a smooth bias field"),
    "divide_by_local_mean": Described("division by the local mean of tissue", BRINKMANN),
    "smooth": Described("a Gaussian filter"),
    "above": Described("thresholding"),
    "hysteresis": Described("hysteresis thresholding"),
    "grow": Described("region growing from a core above the threshold"),
    "half_maximum": Described(
        "region growing from a core above the threshold, half-way down to the tissue around it"
    ),
    "mixture": Described("a neighbourhood-weighted Gaussian mixture", WENINGER),
    "open": Described("opening"),
    "close": Described("closing"),
    "fill_holes": Described("filling of holes"),
    "remove_small": Described("removal of small components"),
    "remove_superficial": Described("removal of components along the brain's surface"),
    "remove_faint": Described("removal of components that are faint among the scan's lesions"),
    "largest": Described("keeping the largest component"),
    "subtract_native": Described("subtraction of what T1, if there is one, shows already"),
    COMPETE: Described("region competition", ZHU),
    "combine_log_odds": Described("the sum of log odds", POHL),
    CORRECT: Described("networks trained on label-free masks of unlabelled scans"),
    NAME_REGIONS: Described("the convex hull of the enhancing tumour", WENINGER),
}
"""By the name of a function in a recipe."""
THRESHOLDS = {
    "fixed": Described("a fixed threshold"),
    "healthy": Described("a threshold fitted to healthy scans"),
    "healthy_decision": Described(
        "a threshold fitted so that the segmentation as a whole stays below a given volume in "
        "healthy scans"
    ),
    "robust": Described("a threshold from the median and median absolute deviation of each scan"),
    "labelled": Described("a threshold chosen on labelled validation scans"),
    "mixture": Described("a threshold from a two-component mixture", WENINGER),
    "oracle": Described(
        "an oracle threshold, chosen on the labels of the evaluated scans themselves, which are "
        "not available in practice"
    ),
}
"""By the name of the rule."""
BRAIN_METHODS = {
    NoteKind.DEEPBET: Described("deepbet", FISCH),
    NoteKind.HDBET: Described("HD-BET", ISENSEE),
}
"""By the kind of the note that says so."""
FAMILIES = {
    "intensity": MEISSEN,
    **dict.fromkeys(("vae", "dvae", "vae1px", "aae", "biaae"), WENINGER),
    **dict.fromkeys(("spatial_vae", "dense_vae"), LAMBERT),
    **dict.fromkeys(("ae", "vae1", "vae2", "vqvae"), PAOLINI),
    **dict.fromkeys(("regularised_segmenter", "folded_segmenter"), MYRONENKO),
}
"""Family of networks to its paper."""


def described(name: str) -> Described:
    """Return a step in words; its own name where the table has no entry."""
    return STEPS.get(name) or Described(name.replace("_", " ") or "an unnamed step")
