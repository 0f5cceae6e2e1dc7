"""Files and images in memory to arrays, each still on its own grid."""
