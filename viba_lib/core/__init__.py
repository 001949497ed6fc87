"""Files, cache, checkpoints, parallel work, progress, downloads: nothing of videos."""
