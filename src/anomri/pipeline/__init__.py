"""The pipeline, one module per command.

Scans are prepared, a model is trained, its thresholds are calibrated, anomalies are detected,
evaluated and reported. A scan that fails is listed in the outcome and does not end the batch.
Finished results are not computed again while files and model are unchanged.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
