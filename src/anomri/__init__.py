"""anomri: finds what does not look healthy in a brain MRI. Research use only."""
