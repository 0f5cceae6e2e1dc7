"""Reading of files and images in memory to arrays, each on its own grid."""
