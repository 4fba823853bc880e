"""An invented paper whose printed values all agree, in its own two files, to plant faults in."""

from __future__ import annotations

from pathlib import Path

TEXTS = {
    "n": "40", "a": "25", "b": "15", "a.percent": "62.5", "b.percent": "37.5",
    "one": "10", "two": "15", "samples": "40",
    "score": "3.20", "score_sd": "1.09", "dead": "0.40", "dead_sd": "0.50",
    "all.mean": "101.9", "all.sd": "14.8", "a.mean": "100.0", "b.mean": "105.0",
    "a.sd": "15.0", "b.sd": "14.3", "ab.p": "0.31",
    "share": "40", "case": "120",
    "t": "2.20", "t.p": "0.034", "F": "3.50", "F.p": "0.040", "r": "-0.35", "r.p": "0.027",
    "r2": "0.12", "z": "1.96", "z.p": "0.05", "chi2": "4.10", "chi2.p": "0.04",
    "U": "130", "U.p": "0.11", "slope": "-2.4", "x.sd": "2.15", "mixed": "-2.2",
    "rxy": "0.60", "rxz": "0.50", "ryz": "0.40",
    "other": "0.30", "meng": "0.27", "left": "1.0", "right": "2.0", "left2": "1.5", "right2": "1.8",
    "x.mean": "100.0", "y.mean": "110.0", "y.sd": "15.0", "rmse": "17.7", "a.rmse": "16.0",
    "b.rmse": "20.2",
}  # fmt: skip

RELATIONS = """
[[sum]]
total = "n"
parts = ["a", "b"]
[[sum]]
total = "samples"
parts = ["one", "two"]
times = [1, 2]
[[percentages]]
of = "n"
counts = ["a", "b"]
complete = true
[[integers]]
mean = "score"
sd = "score_sd"
n = "n"
[[binary]]
mean = "dead"
sd = "dead_sd"
n = "n"
[[groups]]
name = "group"
n = "n"
whole = "all.mean"
means = ["a.mean", "b.mean"]
sizes = ["a", "b"]
sd = "all.sd"
p = "ab.p"
[[share]]
percent = "share"
of = "group/0"
[[parts]]
whole = { n = "n", mean = "all.mean", sd = "all.sd" }
parts = [{ n = "a", mean = "a.mean", sd = "a.sd" }, { n = "b", mean = "b.mean", sd = "b.sd" }]
[[known]]
n = "n"
mean = "all.mean"
sd = "all.sd"
values = ["case"]
[[samples]]
patients = "a"
samples = "samples"
members = { 1 = "one", 2 = "two" }
[[p]]
p = "t.p"
statistic = "t"
test = "t"
df = 38
[[p]]
p = "F.p"
statistic = "F"
test = "F"
df = 2
df2 = 38
[[p]]
p = "r.p"
statistic = "r"
test = "r"
n = "n"
[[p]]
p = "z.p"
statistic = "z"
test = "z"
[[p]]
p = "chi2.p"
statistic = "chi2"
test = "chi2"
df = 1
[[p]]
p = "U.p"
statistic = "U"
test = "U"
n = "a"
n2 = "b"
[[r2]]
r2 = "r2"
r = "r"
[[slope]]
b = "slope"
r2 = "r2"
sd_y = "all.sd"
sd_x = "x.sd"
[[signs]]
ids = ["slope", "r", "mixed"]
[[order]]
lower = ["left"]
higher = ["right"]
[[ranking]]
pairs = [["left", "right"], ["left2", "right2"]]
[[alike]]
pairs = [["left", "left2"], ["right", "right2"]]
[[correlations]]
known = [["x", "y", "rxy"], ["x", "z", "rxz"], ["y", "z", "ryz"]]
[[meng]]
z = "meng"
r1 = "r"
r2 = "other"
n = "n"
[[rmse]]
n = "n"
x = { mean = "x.mean", sd = "x.sd" }
y = { mean = "y.mean", sd = "y.sd" }
whole = "rmse"
parts = [{ n = "a", rmse = "a.rmse" }, { n = "b", rmse = "b.rmse" }]
"""

PLACES = {"slope": "-2.4", "r": "-0.3", "n": "40"}


def write(
    folder: Path, texts: dict[str, str] | None = None, places: dict[str, str] | None = None
) -> tuple[Path, Path, Path]:
    """Write the paper's files, some of its printed texts changed."""
    header = "id\twhere\tstatistic\tsubset\tprinted\tnote\n"
    rows = TEXTS | (texts or {})
    values = folder / "values.tsv"
    values.write_text(header + "".join(f"{k}\tTable\t{k}\tall\t{v}\t\n" for k, v in rows.items()))
    relations = folder / "relations.toml"
    relations.write_text(RELATIONS)
    further = folder / "places.tsv"
    others = PLACES | (places or {})
    further.write_text(
        "id\twhere\tprinted\n" + "".join(f"{k}\tText\t{v}\n" for k, v in others.items())
    )
    return values, relations, further
