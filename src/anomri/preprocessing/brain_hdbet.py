"""HD-BET, where it is installed and asked for (Isensee et al. 2019, Human Brain Mapping 40:4952).

It is an extra: nnU-Net comes with it, and its weights are downloaded by its own code on first use,
unless they lie in its folder already. They are the only weights that anomri lets another library
load in that library's own format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import torch

from anomri.errors import MissingPiece
from anomri.scan import Grid, Mask, Volume

_OTHERS = "or choose another method: --brain auto, or a mask with --brain-mask"


def hdbet_brain(volume: Volume, grid: Grid) -> Mask:
    """Return the brain that HD-BET finds, (I, J, K) bool.

    Args:
        volume: (I, J, K), whole head.
        grid: where it lies.

    Raises:
        MissingPiece: HD-BET is not installed, or its weights cannot be had.
    """
    predictor = _predictor()
    from HD_BET.hd_bet_prediction import hdbet_predict

    with TemporaryDirectory() as folder, _quiet():
        scan, found = Path(folder) / "scan.nii.gz", Path(folder) / "found.nii.gz"
        nib.save(nib.Nifti1Image(volume, grid.affine), scan)
        hdbet_predict(
            str(scan),
            str(found),
            predictor,
            keep_brain_mask=True,
            compute_brain_extracted_image=False,
        )
        image: Any = nib.load(found.with_name("found_bet.nii.gz"))
        mask: Mask = np.asarray(image.dataobj) > 0
    return mask


@cache
def _predictor() -> Any:
    if find_spec("HD_BET") is None:
        raise MissingPiece(
            f"HD-BET is not installed. Next: pip install 'anomri[hdbet]', {_OTHERS}."
        )
    with _quiet():
        from HD_BET.checkpoint_download import maybe_download_parameters
        from HD_BET.paths import folder_with_parameter_files

        try:
            maybe_download_parameters()
        # Whatever the download raises (no network, a refused or damaged file), the answer is one.
        except Exception as error:
            raise MissingPiece(
                f"HD-BET's weights could not be downloaded ({type(error).__name__}). Next: "
                f"unpack them into {_in_home(folder_with_parameter_files)}, {_OTHERS}."
            ) from error
        from HD_BET.hd_bet_prediction import get_hdbet_predictor

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return get_hdbet_predictor(device=device)


def _in_home(folder: str) -> str:
    """Name a folder without the user's own name in it."""
    return folder.replace(str(Path.home()), "~", 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's own printing out of ours."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield
