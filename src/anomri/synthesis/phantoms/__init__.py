"""Digital phantoms: a cohort of synthetic heads with exact ground truth."""
