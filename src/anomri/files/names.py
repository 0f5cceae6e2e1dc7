"""Names of the files that anomri writes and reads again, by the folder that holds them.

The names of one scan's results are composed in :mod:`anomri.files.result_names`.
"""

from __future__ import annotations

# Run folder: a trained or calibrated model
RECIPE = "recipe.yaml"
WEIGHTS = "weights.safetensors"
THRESHOLDS = "thresholds.json"
CODES = "codes.safetensors"  # statistics of the latents of healthy scans
MAP_THRESHOLDS = "map_thresholds.json"  # fitted to several maps together
TOGETHER = "together.json"  # the same in version 0.1
ENVIRONMENT = "environment.json"
ADAPTATION = "adaptation.json"  # what an adapted model was trained on
CHANGES = "changes.tsv"  # what adaptation changed in each scan
ADAPTATION_WORK = "unfinished"  # folder of an adaptation that is not finished
MANIFEST = "model.json"  # of a packed model
LICENCE = "LICENCE.md"  # of a packed model
METRICS = "metrics.tsv"
LOGS = "logs"
RESUME_STATE = "resume/state.safetensors"
RESUME_BEST = "resume/best.safetensors"

# Result folder of `detect`
FINDINGS = "findings.tsv"
REGION_SUMS = "regions.tsv"  # number and volume of lesions by place
SUMMARY = "summary.tsv"
FAILURES = "failures.tsv"
RUN = "run.json"
RATINGS = "ratings.tsv"  # of a reader
REPORT = "report.html"
REPORT_FOLDER = "report"  # pages of single subjects
REFUSAL_PICTURE = "desc-refused_qc.png"  # of a scan that could not be prepared

# Result folder of `audit`
AUDIT = "audit.tsv"
AUDIT_PAGE = "audit.html"

# Result folder of `evaluate`
EVALUATION = "evaluation.tsv"
EVALUATION_SUMMARY = "evaluation_summary.tsv"
EVALUATION_CURVES = "evaluation_curves.tsv"
EVALUATION_SLICES = "evaluation_slices.tsv"
EVALUATION_LESIONS = "evaluation_lesions.tsv"
EVALUATION_SIZES = "evaluation_sizes.tsv"
EVALUATION_FAILURES = "evaluation_failures.tsv"

# Result folder of `follow`
EVOLUTION = "evolution.tsv"
EVOLUTION_DICTIONARY = "evolution.json"
TIME_POINTS = "time_points.tsv"
EVOLUTION_KIND = "desc-evolution"
EVOLUTION_RECORD = "desc-evolution.json"  # of one subject
EVOLUTION_PAGE = "desc-evolution.html"
EVOLUTION_LABELS = "desc-evolution_dseg.nii.gz"  # of one time point

# Data sets
DATASET_DESCRIPTION = "dataset_description.json"
BIDSIGNORE = ".bidsignore"
PARTICIPANTS = "participants.tsv"
PHANTOMS = "phantoms.json"  # marks a folder of digital phantoms
SPLITS = "splits.tsv"

# Folder of prepared scans
PREPARED = "prepared.json"  # how all of them were prepared
PREPARED_SCAN = "scan.json"
NATIVE_TRUTH = "native_truth.nii.gz"

# Folder of a paper, and of a comparison of models
PROTOCOL = "protocol.yaml"
PUBLISHED = "published.tsv"
MEASURED = "measured.tsv"
COMPARISON = "comparison.yaml"
COMPARISON_SCANS = "scans.tsv"
COMPARISON_ROWS = "rows.tsv"
COMPARISON_FIGURES = "figures.tsv"
README = "README.md"

# Folder in which a network is pretrained
PRETRAINING_STATE = "state.safetensors"
