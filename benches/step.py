#!/usr/bin/env python3
"""One training step of ours beside PyTorch's, in turns in one run: how many times longer PyTorch's best takes.

    make bench-pytorch                # installs PyTorch into the cache folder (scripts/pytorch.sh), then runs this
    python benches/step.py --rounds 20 --only vit --precision bf16 --json out.json

A step is forward, cross entropy, backward, clipping to norm 1 and AdamW, batch 64, one thread, in seconds of CPU of that
thread. Ours is `cargo bench -p crossover-worker --bench step -- ask`, a process of its own; PyTorch's is eager with fused
AdamW, and of convnets with channels first and last. With bf16, ours has `precision = "bf16"`, and PyTorch autocast to
bfloat16 or none, whichever is faster. Each round asks every variant for the fastest of three steps; a ratio is of one round,
and the table has the median over rounds with the middle half. A GEMM beside it gives the peak that shares are of.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

from peers import Mixer, Step, Vit, convnext, plain, resnet

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 64


# Our name of a case, the model, its input, and whether channels may be innermost.
CASES = [
    ("vit d64 L4 h4 p4, 1x28x28", lambda: Vit(64, 4, 4, 4, 1, 28), (1, 28, 28), False),
    ("vit d192 L6 h3 p4, 3x32x32", lambda: Vit(192, 6, 3, 4, 3, 32), (3, 32, 32), False),
    ("resnet-18 w16, 3x32x32", lambda: resnet(16, [2, 2, 2, 2], 3), (3, 32, 32), True),
    ("resnet-18 w32, 3x32x32", lambda: resnet(32, [2, 2, 2, 2], 3), (3, 32, 32), True),
    ("convnext w16 1,1,1, 1x28x28", lambda: convnext(16, [1, 1, 1], 1), (1, 28, 28), True),
    ("mixer d192 L6 p4, 3x32x32", lambda: Mixer(192, 6, 4, 3, 32), (3, 32, 32), False),
    ("mlp d512 L3, 1x28x28", lambda: plain(512, 3, 784), (1, 28, 28), False),
]


class Torch:
    """A model of PyTorch's with its optimizer."""

    def __init__(self, make, shape, last, autocast):
        self.step = Step(make(), torch.randn(BATCH, *shape), torch.randint(10, (BATCH,)), autocast, last)

    def step_ms(self):
        begun = time.thread_time()
        self.step()
        return (time.thread_time() - begun) * 1e3


class Ours:
    """The process that answers a line with milliseconds."""

    def __init__(self, built):
        cargo = ["cargo", "bench", "--quiet", "--locked", "-p", "crossover-worker", "--bench", "step", "--"]
        command = [*([built] if built else cargo), "ask"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step_ms(self, name, bf16):
        self.process.stdin.write(name + (" bf16" if bf16 else "") + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"error: our benchmark ended at '{name}'")
        return float(answer)


def peak(kind):
    """GFLOP/s of a product of two square matrices, the best of some."""
    a, b = (torch.randn(1024, 1024).to(kind) for _ in range(2))
    best = 0.0
    for _ in range(20):
        begun = time.thread_time()
        a @ b
        best = max(best, 2 * 1024**3 / (time.thread_time() - begun) / 1e9)
    return best


def training_flops(make, shape):
    """Three times the forward pass by torch's counter, fused attention off."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        make()(torch.randn(BATCH, *shape))
    return 3 * counter.get_total_flops()


def spread(values):
    values = sorted(values)
    at = lambda share: values[round(share * (len(values) - 1))]
    return at(0.5), at(0.25), at(0.75)


def measure(case, bf16, rounds, ours):
    name, make, shape, convolves = case
    layouts, casts = ([False, True] if convolves else [False]), ([False, True] if bf16 else [False])
    theirs = {(last, cast): Torch(make, shape, last, cast) for last in layouts for cast in casts}
    ours.step_ms(name, bf16)
    for variant in theirs.values():
        variant.step_ms()
    taken = {key: [] for key in ["ours", *theirs]}
    for _ in range(rounds):
        taken["ours"].append(ours.step_ms(name, bf16))
        for key, variant in theirs.items():
            taken[key].append(min(variant.step_ms() for _ in range(3)))
    best = min(theirs, key=lambda key: statistics.median(taken[key]))
    ratio, low, high = spread([there / here for there, here in zip(taken[best], taken["ours"])])
    variant = " ".join(filter(None, ["channels-last" if best[0] else "", "autocast" if best[1] else ""])) or "plain"
    here, there = statistics.median(taken["ours"]), statistics.median(taken[best])
    return dict(name=name, precision="bf16" if bf16 else "fp32", ours_ms=here, pytorch_ms=there, ratio=ratio, low=low,
                high=high, variant=variant, gflops=training_flops(make, shape) / here / 1e6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="default: both")
    parser.add_argument("--json", help="where the numbers go too")
    parser.add_argument("--ours", metavar="PROGRAM", help="our benchmark, built; default: cargo bench builds it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours, rows = Ours(args.ours), []
    print(f"PyTorch {torch.__version__}, one thread, batch {BATCH}, {args.rounds} rounds\n")
    for bf16 in [word == "bf16" for word in ["fp32", "bf16"] if args.precision in (None, word)]:
        top = peak(torch.bfloat16 if bf16 else torch.float32)
        print(f"| {'bf16' if bf16 else 'fp32'} (peak {top:.0f} GFLOP/s) | ours, ms | PyTorch's best, ms | ratio | middle half | its variant | our share of peak |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        of = []
        for case in CASES:
            if args.only in case[0]:
                row = measure(case, bf16, args.rounds, ours)
                of.append(row)
                print(f"| {row['name']} | {row['ours_ms']:.1f} | {row['pytorch_ms']:.1f} | {row['ratio']:.2f} "
                      f"| {row['low']:.2f} to {row['high']:.2f} | {row['variant']} | {row['gflops'] / top:.0%} |", flush=True)
        if of:
            print(f"\ngeometric mean of the ratios: {statistics.geometric_mean(row['ratio'] for row in of):.2f}\n")
        rows += of
    ours.process.stdin.close()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
