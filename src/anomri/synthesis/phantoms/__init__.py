"""Digital phantoms: a cohort of drawn heads with exact truth."""
