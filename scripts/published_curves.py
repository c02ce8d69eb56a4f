#!/usr/bin/env python3
"""Writes published training curves as one file, set,curve,x,loss, for the study of `--law auto` (docs/laws.md).

    git clone https://github.com/google-deepmind/scaling_laws_for_routing CLONES/scaling_laws_for_routing
    git clone https://github.com/mcleish7/gemstone-scaling-laws           CLONES/gemstone-scaling-laws
    git clone https://github.com/allenai/OLMo-ladder                      CLONES/OLMo-ladder
    git clone https://github.com/EleutherAI/pythia                        CLONES/pythia
    python3 scripts/published_curves.py CLONES > curves.csv

It takes a minute, downloads nothing and prints 30 to 40 points a curve, evenly in ln x, and at most 48 curves a set.
The translation curves of Alabdulmohsin et al. 2022 are added where CLONES/benchmark.lang.csv is that file.
"""

import csv
import gzip
import json
import math
import re
import sys
from pathlib import Path

POINTS = 40
CURVES = 48


def evenly(points, count):
    """At most `count` of the points, those nearest to even steps in ln x."""
    points = sorted(points)
    if len(points) <= count:
        return points
    low, high = math.log(points[0][0]), math.log(points[-1][0])
    targets = [low + (high - low) * i / (count - 1) for i in range(count)]
    nearest = {min(range(len(points)), key=lambda j: abs(math.log(points[j][0]) - t)) for t in targets}
    return [points[j] for j in sorted(nearest)]


def routing(root):
    """Validation loss over steps of routed and dense transformers (Clark et al. 2022)."""
    with gzip.open(root / "scaling_laws_for_routing/data/curves.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            yield "routing", row["hyper_id"], row["step"], row["loss_validation"]


def gemstone(root):
    """Training loss over tokens (McLeish et al. 2025)."""
    path = root / "gemstone-scaling-laws/wandb_dfs/wandb_df_for_fitting_hot_477.jsonl"
    for line in path.read_text().splitlines():
        row = json.loads(line)
        yield "gemstone", row["run_name"], row["tokens"], row["final_loss"]


def olmo(root):
    """Loss on C4, bits per byte of HellaSwag's answers, and errors of three tasks over tokens (Bhagia et al. 2024)."""
    for path in sorted((root / "OLMo-ladder/src/scripts/paper/data/ladder-runs").glob("*.csv")):
        if "peteish" in path.stem and "full" not in path.stem:
            continue
        with path.open() as file:
            for row in csv.DictReader(file):
                x = row.get("throughput/total_tokens")
                yield "olmo-c4", path.stem, x, row.get("eval/c4_en-validation/CrossEntropyLoss")
                yield "olmo-bpb", path.stem, x, row.get("eval/downstream_bpb/hellaswag_val_rc_5shot_bpb")
                for task in ("hellaswag_val", "arc_easy_test", "piqa_val"):
                    right = row.get(f"eval/downstream/{task}_rc_5shot_len_norm")
                    yield "olmo-error", f"{path.stem} {task.split('_')[0]}", x, right and 1 - float(right)


def pythia(root):
    """Errors of four tasks and ln of LAMBADA's perplexity over steps, deduplicated models (Biderman et al. 2023)."""
    for path in sorted((root / "pythia/evals/pythia-v1").glob("*-deduped/zero-shot/*step*.json")):
        model, step = path.parts[-3], re.search(r"step(\d+)\.json$", path.name)
        results = json.loads(path.read_text())["results"]
        for task in ("lambada_openai", "piqa", "arc_easy", "sciq"):
            if task in results and step:
                yield "pythia-error", f"{model} {task}", step[1], 1 - results[task]["acc"]
        if "lambada_openai" in results and step:
            yield "pythia-lambada", model, step[1], math.log(results["lambada_openai"]["ppl"])


def translation(root):
    """Log perplexity of translation over sentence pairs (Bansal et al. 2022)."""
    path = root / "benchmark.lang.csv"
    if not path.exists():
        return
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["Domain"] == "NMT":
                yield "nmt", row["Model"].replace(",", ""), row["Seen Examples"], row["Loss"]


def main():
    root = Path(sys.argv[1])
    sets = {}
    for source in (routing, gemstone, olmo, pythia, translation):
        for name, curve, x, loss in source(root):
            if x and loss and float(x) > 0 and 0 < float(loss) < math.inf:
                sets.setdefault(name, {}).setdefault(curve, {})[float(x)] = float(loss)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["set", "curve", "x", "loss"])
    for name, curves in sorted(sets.items()):
        names = sorted(curves)
        picked = sorted({round(i * (len(names) - 1) / (CURVES - 1)) for i in range(CURVES)})
        for curve in [names[i] for i in picked] if len(names) > CURVES else names:
            points = evenly(list(curves[curve].items()), POINTS)
            if len(points) >= 8:
                out.writerows([name, curve, repr(x), repr(loss)] for x, loss in points)


if __name__ == "__main__":
    main()
