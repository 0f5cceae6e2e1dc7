"""Training of a segmenter on label-free masks: examples, pasted lesions, cross-fitted halves."""
