"""Results in a notebook: they are read into pandas and plotted. Cells are parted by `# %%`."""

# pyright: basic

# %%
import matplotlib as mpl

import orca

mpl.use("Agg")  # a notebook does without this line

temperature = orca.remote("machines", "Temperature", "1.0.0", float)
smooth = orca.remote("machines", "Smooth", "1.0.0", float)

# %%
with orca.Client() as client:
    readings = client.results(temperature, metadata={"machine": "m-1"}).to_pandas()
    smoothed = client.results(smooth, metadata={"machine": "m-1"}).to_pandas()

table = readings.merge(smoothed, on=["time_from", "time_to"], suffixes=("", "_smooth"))
table = table.set_index("time_to").sort_index()
print(table[["value", "value_smooth"]].describe().loc[["count", "mean", "max"]])

# %%
axes = table[["value", "value_smooth"]].plot(title="Machine m-1", ylabel="°C")
axes.figure.savefig("m-1.png")
