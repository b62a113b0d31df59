"""Guesses the topic of an answer from what an observer saw: five folds, best of three classifiers.

Reads {"topics": N, "traces": [{"topic", "records": [[down, bytes, ms]...], "polls": [[which, ms, status, numbers]...]}]} and
writes each accuracy and how likely one as high is by chance (one-sided binomial test). The best of three is judged as if it
were the only one, which favours the attacker.
"""

import collections
import json
import sys

import numpy as np
from scipy.stats import binomtest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FIRST = 48
POLLS = 5


def summary(values):
    if not values:
        return [0.0] * 8
    v = np.asarray(values, float)
    return [v.mean(), v.std(), v.min(), v.max(), *np.percentile(v, [10, 50, 90]), v.sum()]


def first(values):
    return (list(values) + [-1.0] * FIRST)[:FIRST]


def features(trace):
    row = []
    for way in (True, False):
        records = [(size, at) for down, size, at in trace["records"] if down == way]
        sizes = [size for size, _ in records]
        times = [at for _, at in records]
        gaps = np.diff(times).tolist()
        half = len(gaps) // 2
        row += [len(records), *summary(sizes), *summary(times), *summary(gaps)]
        # How even the beats are while something is said, and afterwards.
        row += [*summary(gaps[:half]), *summary(gaps[half:])]
        row += first(sizes) + first(gaps)
    for which in range(POLLS):
        polls = [poll for poll in trace["polls"] if poll[0] == which]
        row += summary([poll[1] for poll in polls]) + summary([poll[2] for poll in polls])
        row += summary([sum(poll[3]) for poll in polls])
    return row


def main():
    data = json.load(sys.stdin)
    x = np.array([features(trace) for trace in data["traces"]])
    y = np.array([trace["topic"] for trace in data["traces"]])
    chance = np.bincount(y).max() / len(y)
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    classifiers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, C=0.1)),
        "random forest": RandomForestClassifier(300, random_state=1),
        "gradient boosting": HistGradientBoostingClassifier(max_iter=60, random_state=1),
    }
    found = {}
    for name, classifier in classifiers.items():
        right = int((cross_val_predict(classifier, x, y, cv=folds) == y).sum())
        p = binomtest(right, len(y), chance, alternative="greater").pvalue
        found[name] = {"accuracy_percent": round(100 * right / len(y), 2), "p": float(f"{p:.3g}")}
    best = max(found, key=lambda name: found[name]["accuracy_percent"])
    counts = collections.Counter(sum(1 for record in trace["records"] if record[0]) for trace in data["traces"])
    records = {str(count): number for count, number in counts.most_common(6)}
    json.dump({"best": best, **found[best], "all": found, "records": records}, sys.stdout)


main()
