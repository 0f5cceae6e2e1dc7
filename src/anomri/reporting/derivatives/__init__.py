"""Files that `detect` leaves for one scan and for a run."""
