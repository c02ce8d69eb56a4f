#!/usr/bin/env python3
"""PyTorch's side of what is measured beside ours (step.py, sweep.py, gpu.py): models as a user would write them, a training
step with fused AdamW, and a whole trial. As a program:

    python benches/peers.py steps --device cuda:0   # answers the questions of 'crossover-worker steps', a line of JSON each
    python benches/peers.py trial '{"arch": …}'     # trains one model in a process of its own, and prints its losses

Images lie normalised in memory, or on the GPU, and batches are indexed from there: no loader waits for anything. A step is
forward, cross entropy, backward, clipping to norm 1 and AdamW; with "graph" all of it is one CUDA graph, captured once.
"""

import argparse
import contextlib
import functools
import gzip
import json
import math
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d))


def mlp(width, hidden):
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Residual(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x):
        return x + self.parts(x)


class Transposed(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x.transpose(1, 2)).transpose(1, 2)


class Vit(nn.Module):
    def __init__(self, width, depth, heads, patch, channels, side, classes=10, pool="cls"):
        super().__init__()
        self.embed, self.pool = nn.Conv2d(channels, width, patch, patch), pool
        tokens = (side // patch) ** 2 + (pool == "cls")
        self.cls = nn.Parameter(torch.zeros(1, 1, width)) if pool == "cls" else None
        self.pos = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        norm = lambda: nn.LayerNorm(width, eps=1e-6)
        blocks = [(Residual(norm(), Attention(width, heads)), Residual(norm(), mlp(width, 4 * width))) for _ in range(depth)]
        self.blocks = nn.Sequential(*[part for block in blocks for part in block], norm())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        x = self.blocks(x + self.pos)
        return self.head(x.mean(1) if self.cls is None else x[:, 0])


class Mixer(nn.Module):
    def __init__(self, width, depth, patch, channels, side):
        super().__init__()
        self.embed, tokens = nn.Conv2d(channels, width, patch, patch), (side // patch) ** 2
        norm = lambda: nn.LayerNorm(width, eps=1e-6)
        parts = []
        for _ in range(depth):
            token = nn.Sequential(nn.Linear(tokens, width // 2), nn.GELU(), nn.Linear(width // 2, tokens))
            parts += [Residual(norm(), Transposed(token)), Residual(norm(), mlp(width, 4 * width))]
        self.blocks, self.head = nn.Sequential(*parts, norm()), nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Of a ResNet, two 3x3 convolutions or a bottleneck of 4."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        relu, outputs = nn.ReLU(inplace=True), 4 * width if bottleneck else width
        if bottleneck:
            parts = [convolution(inputs, width, 1), relu, convolution(width, width, 3, stride), relu]
            parts.append(convolution(width, outputs, 1))
        else:
            parts = [convolution(inputs, width, 3, stride), relu, convolution(width, width, 3)]
        same = inputs == outputs and stride == 1
        self.body, self.short = nn.Sequential(*parts), nn.Identity() if same else convolution(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x), inplace=True)


def resnet(width, depths, channels, classes=10, bottleneck=False, large=False):
    stem = [nn.MaxPool2d(3, 2, 1)] if large else []
    parts = [convolution(channels, width, *((7, 2) if large else (3, 1))), nn.ReLU(inplace=True), *stem]
    inputs = width
    for stage, depth in enumerate(depths):
        for i in range(depth):
            parts.append(Block(inputs, width << stage, 2 if stage > 0 and i == 0 else 1, bottleneck))
            inputs = (width << stage) * (4 if bottleneck else 1)
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dw, self.norm = nn.Conv2d(width, width, 7, 1, 3, groups=width), nn.LayerNorm(width, eps=1e-6)
        self.mlp, self.gamma = mlp(width, 4 * width), nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x):
        y = self.mlp(self.norm(self.dw(x).permute(0, 2, 3, 1))) * self.gamma
        return x + y.permute(0, 3, 1, 2)


def convnext(width, depths, channels):
    parts = [nn.Conv2d(channels, width, 3, 1, 1), ChannelNorm(width, eps=1e-6)]
    for stage, depth in enumerate(depths):
        now = width << stage
        if stage > 0:
            parts += [ChannelNorm(now // 2, eps=1e-6), nn.Conv2d(now // 2, now, 2, 2)]
        parts += [NextBlock(now) for _ in range(depth)]
    last = width << (len(depths) - 1)
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(last, eps=1e-6), nn.Linear(last, 10))


def plain(width, depth, inputs):
    parts = [nn.Flatten()]
    for _ in range(depth):
        parts += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*parts, nn.Linear(width, 10))


def build(arch, keys, io):
    """What ours is by this arch and these keys, for the few that are compared."""
    channels, side, classes = io["channels"], io["height"], io["classes"]
    if arch == "vit":
        keys = dict(width=64, depth=4, heads=4, patch=4) | keys
        return Vit(**keys, channels=channels, side=side, classes=classes)
    if arch == "convnet":
        keys = dict(width=64, depths=[2, 2, 2, 2]) | keys
        bottleneck, large = keys.get("block") == "bottleneck", keys.get("stem") == "large"
        return resnet(keys["width"], keys["depths"], channels, classes, bottleneck, large)
    if arch == "mlp":
        keys = dict(width=256, depth=3) | keys
        return plain(keys["width"], keys["depth"], channels * side * io["width"])
    raise ValueError(f"arch '{arch}' has no model here: vit, convnet and mlp have")


class Step:
    """One update on images and labels that stay where they are; new batches are copied into them."""

    def __init__(self, model, images, labels, bf16=False, last=False, graph=False, lr=1e-4, decay=0.05):
        layout = torch.channels_last if last else torch.contiguous_format
        self.model, self.images, self.labels = model.to(memory_format=layout), images.to(memory_format=layout), labels
        self.kind, self.graph, self.loss = images.device.type, None, None
        self.bf16 = bf16
        lr = torch.tensor(lr, device=images.device) if graph else lr
        how = dict(lr=lr, betas=(0.9, 0.99), weight_decay=decay, fused=True, capturable=graph)
        self.optimizer = torch.optim.AdamW(model.parameters(), **how)
        if graph:
            self.capture()

    def cast(self):
        """A cache of casts would be captured at its first use alone."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.kind, torch.bfloat16, cache_enabled=self.kind == "cpu")

    def update(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.cast():
            loss = F.cross_entropy(self.model(self.images).float(), self.labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach()

    def capture(self):
        """As PyTorch's notes on CUDA graphs say: a few steps on a side stream, then one is captured. Weights go back."""
        before = [tensor.detach().clone() for tensor in self.model.state_dict().values()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.update()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.loss = self.update()
        self.graph = graph
        with torch.no_grad():
            for tensor, value in zip(self.model.state_dict().values(), before):
                tensor.copy_(value)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def rate(self, lr):
        for group in self.optimizer.param_groups:
            if self.graph is None:
                group["lr"] = lr
            else:
                group["lr"].fill_(lr)

    def __call__(self):
        if self.graph is None:
            self.loss = self.update()
        else:
            self.graph.replay()
        return self.loss


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def strict(precision):
    """What GPUs may round products of float32 to, of convolutions and matrices alike."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def answer(question, device):
    """Of `crossover-worker steps`: seconds of a step in each round."""
    io, batch, precision = question["io"], question["batch"], question.get("precision", "fp32")
    strict(precision)
    torch.manual_seed(0)
    images = torch.randn(batch, io["channels"], io["height"], io["width"], device=device)
    labels = torch.randint(io["classes"], (batch,), device=device)
    model = build(question["arch"], question.get("keys", {}), io).to(device)
    step = Step(model, images, labels, precision == "bf16", question.get("last", False), question.get("graph", False))
    losses = [step().clone() for _ in range(question.get("warmup", 0))]
    seconds = []
    for _ in range(question.get("rounds", 1)):
        wait(device)
        begun = time.perf_counter()
        for _ in range(question["steps"]):
            losses.append(step())
        wait(device)
        seconds.append((time.perf_counter() - begun) / question["steps"])
    return dict(params=sum(p.numel() for p in model.parameters()), loss=float(losses[-1]), seconds=seconds)


def peak(device):
    """TFLOP/s of a product of two square matrices in bf16, the best of some."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    best = 0.0
    for _ in range(12):
        wait(device)
        begun = time.perf_counter()
        a @ b
        wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - begun) / 1e12)
    return best


def idx(path):
    """An array of MNIST's format, plain or gzip."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        content = file.read()
    sizes = numpy.frombuffer(content, ">u4", content[3], 4).astype(int)
    return torch.from_numpy(numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * content[3]).reshape(*sizes).copy())


@functools.lru_cache(maxsize=4)
def splits(images, labels, test_images, test_labels, validation, examples, device):
    """Of training the first so many, of which the last of all are held out; normalised, on the device."""
    train, test = (idx(images), idx(labels).long()), (idx(test_images), idx(test_labels).long())
    held = len(train[0]) - validation
    parts = [[part[:examples] for part in train], [part[held:] for part in train], test]
    pixels = parts[0][0].float()
    mean, deviation = pixels.mean(), pixels.std()
    return [(((x.float() - mean) / deviation).unsqueeze(1).to(device), y.to(device)) for x, y in parts]


def factor(spec, step):
    """Of the peak rate: a linear warmup, then half a cosine, or constant up to a last fifth of 1 - sqrt ("wsd")."""
    steps, warmup = spec["steps"], spec["warmup"]
    if step < warmup:
        return (step + 1) / warmup
    if spec["schedule"] == "wsd":
        cooldown = round(0.2 * steps)
        return 1.0 if step < steps - cooldown else 1 - math.sqrt((step - (steps - cooldown)) / cooldown)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def trial(spec):
    """Trains one model and measures it on the validation and the test split, once, at the end."""
    begun, device = time.perf_counter(), torch.device(spec.get("device", "cpu"))
    strict("bf16" if spec["bf16"] else "fp32")
    torch.manual_seed(spec["seed"])
    (x, y), *measured = splits(*spec["data"], spec["validation"], spec["examples"], str(device))
    io = dict(channels=1, height=x.shape[2], width=x.shape[3], classes=10)
    model, batch = build(spec["arch"], spec["keys"], io).to(device), spec["batch"]
    step = Step(model, x[:batch].clone(), y[:batch].clone(), spec["bf16"], spec["last"], spec.get("graph", False), spec["lr"])
    order = torch.empty(0, dtype=torch.long)
    for number in range(spec["steps"]):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(len(x))])
        now, order = order[:batch].to(device), order[batch:]
        step.images.copy_(x[now])
        step.labels.copy_(y[now])
        step.rate(spec["lr"] * factor(spec, number))
        step()
    model.eval()
    losses = []
    for x, y in measured:
        with torch.no_grad(), step.cast():
            each = [F.cross_entropy(model(a).float(), b, reduction="sum") for a, b in zip(x.split(512), y.split(512))]
        losses.append(float(sum(each)) / len(x))
    return dict(val_loss=losses[0], test_loss=losses[1], seconds=time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["steps", "trial", "peak"])
    parser.add_argument("spec", nargs="?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "trial":
        print(json.dumps(trial(json.loads(args.spec))))
        return
    device = torch.device(args.device)
    if args.what == "peak":
        print(json.dumps(peak(device)))
        return
    for line in sys.stdin:
        try:
            told = answer(json.loads(line), device)
        except torch.OutOfMemoryError as error:
            told = dict(failure=str(error).split(". ")[0])
        print(json.dumps(told), flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
