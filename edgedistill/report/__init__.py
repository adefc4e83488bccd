"""One self-contained page about a run: verdict first, then accuracy, speed, size and how they came about."""
