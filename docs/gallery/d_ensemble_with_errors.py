"""
An ensemble with errors
=======================

Eight melts, quenches and exchanges by CHGNet r2scan, each with its own crystal control, were run once; their summaries
lie in ``docs/data`` of the repository. What do they say, and how sure is it?
"""

from pathlib import Path

import matplotlib.pyplot as plt

from amorph.ensemble.summary import summarize_ensemble

data = Path.cwd().parent / "data"
models = {"0.3.0": data / "ensemble", "r2scan": data / "ensemble_r2scan"}
found = {model: summarize_ensemble(folder) for model, folder in models.items()}
for model, summary in found.items():
    print(f"CHGNet {model}: not counted:", summary.apart or "none")

# %%
# The free volume hardly tells the glass from the crystal; the room for Mg does. *Difference* is taken within each pair
# of a glass and its own crystal, which is the comparison that counts:

figures = ["density", "f_V, reference volume as chosen", "room v ≤ V + window, share of the cell"]
for model, summary in found.items():
    for entry in summary.statistics:
        if entry.figure in figures and entry.structure == "difference":
            low, high = entry.interval
            print(f"{model:7} {entry.figure:40} {entry.mean:+.4f}  [{low:+.4f}, {high:+.4f}] {entry.unit}")

# %%
# Every member as a dot, the mean with its 95 % interval (Student's t) beside it:

figure, panels = plt.subplots(1, len(figures), figsize=(10, 3.6), layout="constrained")
colors, marks = {"glass": "tab:blue", "crystal": "tab:orange"}, {"glass": "o", "crystal": "s"}
for name, axes in zip(figures, panels, strict=True):
    for place, summary in enumerate(found.values()):
        for entry in summary.statistics:
            if entry.figure != name or entry.structure not in colors:
                continue
            x = place + (-0.15 if entry.structure == "glass" else 0.15)
            color = colors[entry.structure]
            axes.plot([x - 0.07] * len(entry.values), entry.values, ".", color=color, alpha=0.5)
            low, high = entry.interval
            error = [[entry.mean - low], [high - entry.mean]]
            label = entry.structure if place == 0 else None
            axes.errorbar(x, entry.mean, error, fmt=marks[entry.structure], color=color, capsize=3, label=label)
            axes.set_ylabel(f"{name} [{entry.unit}]" if entry.unit else name, wrap=True)
    axes.set_xticks(range(len(found)), found)
panels[0].legend()
plt.show()

# %%
# The command line prints all of it: ``amorph ensemble summary docs/data/ensemble_r2scan``. What follows from it stands
# in :doc:`/validation`.
