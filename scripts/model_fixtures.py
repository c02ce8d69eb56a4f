#!/usr/bin/env python3
"""Makes worker/tests/model/fixtures/: small models of timm and torchvision (or of a few lines here, where these have none)
with random weights, what they answer, what they cost. Needs torch, torchvision, timm, safetensors and numpy; the tests need none of them.

    python scripts/model_fixtures.py

Each case: NAME.safetensors (weights), NAME.images.npy, NAME.logits.npy (evaluation mode), and a line in cases.json with
the config, parameters and forward FLOPs of one image (torch's FlopCounterMode, fused attention off), and for one
training step on the same images with labels 0, 1, 2, … modulo classes: the loss, the norm of its gradient, and the sum
of the updated running statistics.
"""

import functools
import json
import math
import pathlib

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

timm.layers.set_fused_attn(False)
OUT = pathlib.Path(__file__).parent.parent / "worker/tests/model/fixtures"


class PlainBlock(torch.nn.Module):
    """One convolution of He et al. 2016's plain networks, with the names of torchvision's blocks."""

    expansion = 1

    def __init__(self, inplanes, planes, stride=1, *_, **__):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(planes)

    def forward(self, x):
        return self.bn1(self.conv1(x)).relu()


def resnet(width, depths, block="basic", stem="small", padding="zeros", channels=3, classes=10, flat=False):
    """torchvision's ResNet at another width, number of stages, stem and padding."""
    resnet = torchvision.models.resnet
    kind = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck, "plain": PlainBlock}[block]
    model = torchvision.models.resnet.ResNet(kind, [1, 1, 1, 1], num_classes=classes)
    model.inplanes = width
    if stem == "small":
        model.conv1 = torch.nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        model.maxpool = torch.nn.Identity()
    else:
        model.conv1 = torch.nn.Conv2d(channels, width, 7, 2, 3, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(width)
    for stage in range(4):
        layer = torch.nn.Identity()
        if stage < len(depths):
            layer = model._make_layer(kind, width << stage, depths[stage], stride=1 if stage == 0 else 2)
        setattr(model, f"layer{stage + 1}", layer)
    model.fc = torch.nn.Linear(model.inplanes, classes)
    if padding == "circular":
        circle(model)
        if stem == "large":
            model.maxpool = torch.nn.Sequential(torch.nn.CircularPad2d(1), torch.nn.MaxPool2d(3, 2))
    if flat:  # one-row images: kernels one pixel high
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                k, s = module.kernel_size[1], module.stride[1]
                module.kernel_size, module.stride, module.padding = (1, k), (1, s), (0, k // 2)
                module.weight = torch.nn.Parameter(module.weight[:, :, k // 2 : k // 2 + 1].clone())
    return model


def circle(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = "circular"


def convnext(width, depths, stem="small", padding="zeros", channels=3, classes=10):
    """timm's ConvNeXt at another width, number of stages, stem and padding."""
    widths = [width << stage for stage in range(4)]
    model = timm.models.convnext.ConvNeXt(channels, classes, depths=(depths + [1] * 4)[:4], dims=widths)
    model.stages = model.stages[: len(depths)]
    last = widths[len(depths) - 1]
    model.head = timm.layers.NormMlpClassifierHead(last, classes, norm_layer=timm.layers.LayerNorm2d)
    if stem == "small":
        model.stem[0] = torch.nn.Conv2d(channels, width, 3, 1, 1)
    if padding == "circular":
        circle(model)
    return model


def torchvision_vit(size, width, depth, heads, patch, classes=10):
    """With torchvision's names."""
    return torchvision.models.VisionTransformer(size, patch, depth, heads, width, 4 * width, num_classes=classes)


def torchvision_convnext(width, depths, classes=10):
    """With torchvision's names."""
    widths = [width << stage for stage in range(len(depths))] + [None]
    blocks = [
        torchvision.models.convnext.CNBlockConfig(widths[i], widths[i + 1], depth) for i, depth in enumerate(depths)
    ]
    return torchvision.models.ConvNeXt(blocks, num_classes=classes)


class BareBlock(timm.models.vision_transformer.Block):
    """Attention and MLP that replace their input."""

    def forward(self, x, **_):
        return self.mlp(self.norm2(self.attn(self.norm1(x))))


class IdentityAttention(torch.nn.Module):
    """Attention whose queries and keys are the tokens."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.v, self.proj = heads, torch.nn.Linear(width, width), torch.nn.Linear(width, width)

    def forward(self, x, **_):
        q, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (x, self.v(x)))
        weights = (q @ q.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Again(torch.nn.Sequential):
    """Its modules, applied many times."""

    times = 1

    def forward(self, x):
        for _ in range(self.times):
            x = super().forward(x)
        return x


def window_mask(height, width, radius, class_token):
    """What is added to attention scores: 0 for tokens near each other, else minus infinity."""
    at = np.stack(np.mgrid[:height, :width], axis=-1).reshape(-1, 2)
    near = np.abs(at[:, None] - at[None]).max(axis=2) <= radius
    if class_token:
        near = np.pad(near, ((1, 0), (1, 0)))
        near[0, :] = True
    return torch.tensor(np.where(near, 0.0, -np.inf), dtype=torch.float32)


def vit(size, width, depth, heads, patch, pool="cls", position="learned", mlp_ratio=4.0, channels=3, classes=10,
        stride=None, qk="learned", window=0, residual=True, norm=True, recurrent=False):
    embed = timm.layers.PatchEmbed
    if stride:
        class embed(timm.layers.PatchEmbed):
            def __init__(self, *args, **keys):
                super().__init__(*args, **keys)
                self.proj = torch.nn.Conv2d(channels, width, patch, stride)
                self.grid_size = tuple((side - patch) // stride + 1 for side in self.img_size)
                self.num_patches = self.grid_size[0] * self.grid_size[1]
    model = timm.models.vision_transformer.VisionTransformer(
        img_size=size, patch_size=patch, in_chans=channels, num_classes=classes, embed_dim=width,
        depth=1 if recurrent else depth, num_heads=heads, mlp_ratio=mlp_ratio, class_token=pool == "cls",
        global_pool="token" if pool == "cls" else "avg", pos_embed="learn" if position == "learned" else "none",
        embed_layer=embed, norm_layer=None if norm else torch.nn.Identity,
        block_fn=timm.models.vision_transformer.Block if residual else BareBlock,
    )
    if qk == "identity":
        for block in model.blocks:
            block.attn = IdentityAttention(width, heads)
    if window:
        mask = window_mask(*model.patch_embed.grid_size, window, pool == "cls")
        model.forward = functools.partial(model.forward, attn_mask=mask)
    if recurrent:
        model.blocks = Again(*model.blocks)
        model.blocks.times = depth
    if position == "sincos":
        # big_vision, models/vit.py, posemb_sincos_2d, in numpy
        h, w = model.patch_embed.grid_size
        y, x = np.mgrid[:h, :w]
        omega = 1.0 / (10_000 ** (np.arange(width // 4) / (width // 4 - 1)))
        y, x = np.einsum("m,d->md", y.flatten(), omega), np.einsum("m,d->md", x.flatten(), omega)
        code = np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1)
        if pool == "cls":
            code = np.concatenate([np.zeros((1, width)), code])
        model.pos_embed = torch.nn.Parameter(torch.tensor(code[None], dtype=torch.float32), requires_grad=False)
    return model


def mixer(size, width, depth, patch, kind="mixer", channels=3, classes=10):
    """timm's MlpMixer, of its own blocks or of ResMLP's."""
    mlp_mixer = timm.models.mlp_mixer
    res = dict(mlp_ratio=4, block_layer=mlp_mixer.ResBlock, norm_layer=mlp_mixer.Affine)
    return mlp_mixer.MlpMixer(
        img_size=size, patch_size=patch, in_chans=channels, num_classes=classes, embed_dim=width, num_blocks=depth,
        **(res if kind == "resmlp" else {}),
    )


def mlp(inputs, width, depth, activation="relu", classes=10):
    kind = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU}[activation]
    model = torchvision.ops.MLP(inputs, [width] * depth + [classes], activation_layer=kind, inplace=None)
    model.register_forward_pre_hook(lambda _, images: images[0].flatten(1))
    return model


class Attend(torch.nn.Module):
    """Jaegle et al. 2021, appendix: layer norms, one-head or multi-head attention as wide as what is attended to, MLP."""

    def __init__(self, width, heads, hidden, source=None):
        super().__init__()
        inner = source or width
        self.heads = heads
        self.norm1 = torch.nn.LayerNorm(width, eps=1e-6)
        if source:
            self.norm_tokens = torch.nn.LayerNorm(source, eps=1e-6)
        self.q, self.kv = torch.nn.Linear(width, inner), torch.nn.Linear(inner, 2 * inner)
        self.proj = torch.nn.Linear(inner, width)
        self.norm2 = torch.nn.LayerNorm(width, eps=1e-6)
        self.mlp = torch.nn.ModuleDict({"fc1": torch.nn.Linear(width, hidden), "fc2": torch.nn.Linear(hidden, width)})

    def forward(self, x, tokens=None):
        source = self.norm1(x) if tokens is None else self.norm_tokens(tokens)
        k, v = self.kv(source).chunk(2, dim=-1)
        q, k, v = [t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.q(self.norm1(x)), k, v)]
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + self.proj((weights @ v).transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](torch.nn.functional.gelu(self.mlp["fc1"](self.norm2(x))))


class Perceiver(torch.nn.Module):
    def __init__(self, size, latents, width, heads, bands, blocks, layers_per_block, mlp_ratio=1.0, share=True,
                 position="fourier", position_width=16, channels=3, classes=10):
        super().__init__()
        code = None
        if position == "fourier":
            axes = [torch.linspace(-1, 1, side, dtype=torch.float64) for side in size if side > 1]
            at = torch.stack([t.flatten() for t in torch.meshgrid(*axes, indexing="ij")], -1)  # [M, axes]
            steps = [torch.linspace(1, side / 2, bands, dtype=torch.float64) for side in size if side > 1]
            angles = math.pi * torch.cat([at[:, i : i + 1] * f for i, f in enumerate(steps)], -1)
            code = torch.cat([at, angles.sin(), angles.cos()], -1)[None].float()
        if position == "learned":
            code = torch.nn.Parameter(torch.zeros(1, math.prod(size), position_width))
        self.pos_embed = code
        source = channels + (0 if code is None else code.shape[-1])
        hidden = int(width * mlp_ratio)
        self.latents = torch.nn.Parameter(torch.zeros(1, latents, width))
        self.cross = torch.nn.ModuleList(
            Attend(width, 1, hidden, source) for _ in range(min(2, blocks) if share else blocks)
        )
        self.blocks = torch.nn.ModuleList(
            torch.nn.ModuleList(Attend(width, heads, hidden) for _ in range(layers_per_block))
            for _ in range(1 if share else blocks)
        )
        self.head = torch.nn.Linear(width, classes)
        self.order = [(0, 0)] + [(1, 0) if share else (i, i) for i in range(1, blocks)]

    def forward(self, images):
        tokens = images.flatten(2).transpose(1, 2)
        if self.pos_embed is not None:
            tokens = torch.cat([tokens, self.pos_embed.expand(len(images), -1, -1)], -1)
        x = self.latents.expand(len(images), -1, -1)
        for cross, block in self.order:
            x = self.cross[cross](x, tokens)
            for layer in self.blocks[block]:
                x = layer(x)
        return self.head(x.mean(1))


class Experts(torch.nn.Module):
    """MLPs side by side; the weights of all experts in one tensor."""

    def __init__(self, experts, width, hidden):
        super().__init__()
        for name, inputs, outputs in [("fc1", width, hidden), ("fc2", hidden, width)]:
            bank = torch.nn.Module()
            bank.weight = torch.nn.Parameter(torch.empty(experts, outputs, inputs))
            bank.bias = torch.nn.Parameter(torch.empty(experts, outputs))
            setattr(self, name, bank)

    def expert(self, e, x):
        hidden = torch.nn.functional.linear(x, self.fc1.weight[e], self.fc1.bias[e])
        return torch.nn.functional.linear(torch.nn.functional.gelu(hidden), self.fc2.weight[e], self.fc2.bias[e])


class SparseExperts(Experts):
    """Riquelme et al. 2021, section 2 and appendix A.2, token by token; each image is a group of its own."""

    def __init__(self, width, hidden, experts, top_k=2, capacity=1.05, priority="order", balance=0.01, noise=None):
        super().__init__(experts, width, hidden)
        self.router = torch.nn.Linear(width, experts, bias=False)
        self.experts, self.k, self.capacity, self.priority, self.balance = experts, top_k, capacity, priority, balance
        self.noise = noise

    def forward(self, x):
        batch, tokens, width = x.shape
        logits = self.router(x)
        noisy = logits
        if self.training:
            noisy = logits + torch.tensor(np.load(self.noise)).view_as(logits) / self.experts
            self.loss = self.balance * (self.importance(logits) + self.load(logits, noisy)) / 2
        gates = noisy.softmax(-1)
        room = min(tokens, math.ceil(tokens * self.k * self.capacity / self.experts))
        buffers, counts = x.new_zeros(self.experts, batch, room, width), torch.zeros(self.experts, dtype=torch.int64)
        served, skipped = [], 0
        for image in range(batch):
            filled, best = [0] * self.experts, gates[image].sort(-1, descending=True).indices.tolist()
            order = list(range(tokens))
            if self.priority == "score":
                order.sort(key=lambda token: -gates[image].max(-1).values[token].item())
            for choice in range(self.k):
                for token in order:
                    e = best[token][choice]
                    counts[e] += 1
                    if filled[e] < room:
                        buffers[e, image, filled[e]] = x[image, token]
                        served.append((image, token, e, filled[e]))
                        filled[e] += 1
            skipped += tokens - len({token for at, token, _, _ in served if at == image})
        done = [self.expert(e, buffers[e].view(-1, width)).view(batch, room, width) for e in range(self.experts)]
        out = torch.zeros_like(x)
        for image, token, e, slot in served:
            out[image, token] += gates[image, token, e] * done[e][image, slot]
        choices = batch * tokens * self.k
        self.metrics = {"moe_dropped.{}": 1 - len(served) / choices, "moe_skipped.{}": skipped / (batch * tokens)}
        self.metrics |= {"moe_load.{}.%d" % e: count.item() / choices for e, count in enumerate(counts)}
        return out

    def importance(self, logits):
        return unevenness(logits.softmax(-1).sum(1)).mean()

    def load(self, logits, noisy):
        threshold = noisy.sort(-1, descending=True).values[..., self.k - 1 : self.k]
        beaten = torch.distributions.Normal(0.0, 1.0 / self.experts).cdf(threshold - logits)
        return unevenness((1 - beaten).sum(1)).mean()


def unevenness(loads):
    return (loads.std(-1, unbiased=False) / loads.mean(-1)) ** 2


class SoftExperts(Experts):
    """Puigcerver et al. 2023, algorithm 1, with the logits of section 2.3."""

    def __init__(self, width, hidden, experts, slots):
        super().__init__(experts, width, hidden)
        self.mu = torch.nn.Parameter(torch.empty(width, experts, slots))
        self.scale = torch.nn.Parameter(torch.empty(1))

    def forward(self, x):
        unit = lambda t, dim: t / (t.square().sum(dim, keepdim=True) + 1e-6).sqrt()
        logits = torch.einsum("bmd,dnp->bmnp", unit(x, 2), self.scale * unit(self.mu, 0))
        dispatch, combine = logits.softmax(1), logits.flatten(2).softmax(2).view_as(logits)
        read = torch.einsum("bmd,bmnp->bnpd", x, dispatch)
        done = torch.stack([self.expert(e, read[:, e]) for e in range(read.shape[1])], 1)
        self.metrics = {"moe_load.{}.%d" % e: combine[:, :, e].sum(-1).mean().item() for e in range(read.shape[1])}
        return torch.einsum("bnpd,bmnp->bmd", done, combine)


def moe(size, blocks, experts, keys, soft=False, name=None, channels=3, classes=10):
    """The ViT of `keys` with experts in `blocks`; NAME.noise.BLOCK.npy has what the router adds in training."""
    model = vit(size, **keys, channels=channels, classes=classes)
    hidden = int(keys["width"] * keys.get("mlp_ratio", 4.0))
    for block in blocks:
        more = {} if soft else {"noise": OUT / f"{name}.noise.{block}.npy"}
        kind = SoftExperts if soft else SparseExperts
        model.blocks[block].mlp = kind(keys["width"], hidden, **experts, **more)
    return model


def case(name, arch, keys, io, model, batch=4):
    torch.manual_seed(sum(map(ord, name)))
    fixed = {n for n, p in model.named_parameters() if not p.requires_grad}
    for n, p in model.named_parameters():
        if n not in fixed:
            scale = p.dim() == 1 and "norm" in n or "bn" in n or n.endswith(("alpha", "ls1", "ls2", "scale"))
            torch.nn.init.normal_(p, 1.0 if scale else 0.0, 0.1)
    for n, b in model.named_buffers():
        if "running" in n:
            b.uniform_(0.5, 1.5)
    channels, height, width, classes = io
    images = torch.randn(batch, channels, height, width)
    weights = {n: t.contiguous() for n, t in model.state_dict().items() if n not in fixed}
    save_file(weights, OUT / f"{name}.safetensors")
    np.save(OUT / f"{name}.images.npy", images.numpy())
    model.eval()
    with torch.no_grad():
        np.save(OUT / f"{name}.logits.npy", model(images).numpy())
    line = {"name": name, "arch": arch, "keys": keys, "input": [channels, height, width], "classes": classes}
    metrics = {n.split(".")[1]: m.metrics for n, m in model.named_modules() if isinstance(m, Experts)}
    if metrics:
        line["metrics"] = {n.format(block): value for block, found in metrics.items() for n, value in found.items()}
    line |= costs(model, images[:1])
    model.train()
    loss = torch.nn.functional.cross_entropy(model(images), torch.arange(batch) % classes)
    loss = loss + sum(m.loss for m in model.modules() if isinstance(m, SparseExperts))
    loss.backward()
    grads = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
    line["loss"] = loss.item()
    line["gradient_norm"] = sum(grads).sqrt().item()
    line["running_sum"] = sum(b.double().sum().item() for n, b in model.named_buffers() if "running" in n)
    return line


def costs(model, image):
    model.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        model(image)
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"params": params, "forward_flops": counter.get_total_flops()}


def cases():
    small = dict(width=4, depths=[1, 1])
    yield case("convnet-basic", "convnet", small, (3, 9, 8, 10), resnet(**small))
    keys = dict(width=2, depths=[2, 1, 1], block="bottleneck")
    yield case("convnet-bottleneck", "convnet", keys, (1, 12, 12, 5), resnet(**keys, channels=1, classes=5))
    keys = dict(width=3, depths=[1, 2], stem="large")
    yield case("convnet-large-stem", "convnet", keys, (3, 33, 40, 7), resnet(**keys, classes=7), batch=2)
    keys = dict(width=4, depths=[1, 1, 1])
    yield case("convnet-signal", "convnet", keys, (1, 1, 40, 10), resnet(**keys, channels=1, flat=True))
    keys = dict(width=4, depths=[2, 1], block="plain")
    yield case("convnet-plain", "convnet", keys, (3, 9, 8, 10), resnet(**keys))
    keys = dict(width=3, depths=[1, 1], block="plain", stem="large", padding="circular")
    yield case("convnet-circular", "convnet", keys, (1, 15, 18, 5), resnet(**keys, channels=1, classes=5))
    keys = dict(width=4, depths=[1, 1], padding="circular")
    yield case("convnet-circular-residual", "convnet", keys, (3, 9, 8, 10), resnet(**keys))
    keys = dict(width=4, depths=[1, 2])
    named = {**keys, "block": "convnext"}
    yield case("convnext-small-stem", "convnet", named, (1, 9, 12, 5), convnext(**keys, channels=1, classes=5))
    keys = dict(width=4, depths=[1, 1], stem="large")
    named = {**keys, "block": "convnext"}
    yield case("convnext-large-stem", "convnet", named, (3, 18, 16, 10), convnext(**keys))
    keys = dict(width=4, depths=[1], padding="circular")
    named = {**keys, "block": "convnext"}
    yield case("convnext-circular", "convnet", named, (3, 6, 5, 7), convnext(**keys, classes=7))
    keys = dict(width=4, depths=[1, 2], stem="large")
    named = {**keys, "block": "convnext"}
    yield case("convnext-torchvision", "convnet", named, (3, 18, 16, 10), torchvision_convnext(4, [1, 2]))
    keys = dict(width=12, depth=2, heads=3, patch=4)
    yield case("vit-torchvision", "vit", keys, (3, 8, 8, 10), torchvision_vit(8, **keys))
    yield case("vit-cls", "vit", keys, (3, 8, 12, 10), vit((8, 12), **keys))
    keys = dict(width=8, depth=1, heads=2, patch=2, pool="mean", position="none", mlp_ratio=2.5)
    yield case("vit-mean", "vit", keys, (1, 6, 6, 5), vit(6, **keys, channels=1, classes=5))
    keys = dict(width=12, depth=1, heads=1, patch=5, pool="mean", position="sincos")
    yield case("vit-signal", "vit", keys, (1, 1, 40, 10), vit((1, 40), **{**keys, "patch": (1, 5)}, channels=1))
    keys = dict(width=8, depth=1, heads=2, patch=4, position="sincos")
    yield case("vit-sincos-cls", "vit", keys, (3, 8, 8, 10), vit(8, **keys))
    keys = dict(width=8, depth=1, heads=2, patch=4, stride=2)
    yield case("vit-overlap", "vit", keys, (3, 6, 8, 10), vit((6, 8), **keys))
    keys = dict(width=8, depth=1, heads=2, patch=1, pool="mean", position="sincos")
    yield case("vit-pixel", "vit", keys, (1, 5, 6, 5), vit((5, 6), **keys, channels=1, classes=5))
    keys = dict(width=8, depth=2, heads=2, patch=2, qk="identity")
    yield case("vit-identity", "vit", keys, (1, 6, 4, 5), vit((6, 4), **keys, channels=1, classes=5))
    keys = dict(width=8, depth=2, heads=1, patch=2, window=1)
    yield case("vit-window", "vit", keys, (1, 8, 6, 5), vit((8, 6), **keys, channels=1, classes=5))
    keys = dict(width=8, depth=1, heads=2, patch=2, pool="mean", window=2, position="none")
    yield case("vit-window-mean", "vit", keys, (1, 8, 8, 5), vit(8, **keys, channels=1, classes=5))
    keys = dict(width=8, depth=2, heads=2, patch=2, residual=False)
    yield case("vit-no-residual", "vit", keys, (1, 4, 4, 5), vit(4, **keys, channels=1, classes=5))
    keys = dict(width=8, depth=2, heads=2, patch=2, pool="mean", norm=False)
    yield case("vit-no-norm", "vit", keys, (1, 4, 4, 5), vit(4, **keys, channels=1, classes=5))
    keys = dict(width=8, depth=3, heads=2, patch=4)
    yield case("recurrent-cls", "recurrent", keys, (3, 8, 8, 10), vit(8, **keys, recurrent=True))
    keys = dict(width=8, depth=2, heads=2, patch=4, stride=2, pool="mean", position="none")
    model = vit((8, 6), **keys, channels=1, classes=5, recurrent=True)
    yield case("recurrent-mean", "recurrent", keys, (1, 8, 6, 5), model)
    for kind in ["mixer", "resmlp"]:
        keys = dict(width=12, depth=2, patch=4)
        yield case(f"{kind}-rgb", kind, keys, (3, 8, 12, 10), mixer((8, 12), **keys, kind=kind))
        keys = dict(width=9, depth=1, patch=3)
        yield case(f"{kind}-grey", kind, keys, (1, 6, 6, 5), mixer(6, **keys, kind=kind, channels=1, classes=5))
        keys = dict(width=8, depth=2, patch=8)
        signal = mixer((1, 40), **{**keys, "patch": (1, 8)}, kind=kind, channels=1)
        yield case(f"{kind}-signal", kind, keys, (1, 1, 40, 10), signal)
    keys = dict(width=8, depth=1)
    yield case("mlp-shallow", "mlp", keys, (3, 4, 5, 10), mlp(60, **keys))
    keys = dict(width=6, depth=3, activation="gelu")
    yield case("mlp-deep", "mlp", keys, (1, 6, 6, 5), mlp(36, **keys, classes=5))
    keys = dict(width=12, depth=2)
    yield case("mlp-signal", "mlp", keys, (1, 1, 40, 10), mlp(40, **keys))
    keys = dict(latents=4, width=8, heads=2, bands=3, blocks=3, layers_per_block=2)
    yield case("perceiver-shared", "perceiver", keys, (3, 5, 6, 10), Perceiver((5, 6), **keys))
    keys = dict(latents=3, width=6, heads=3, bands=1, blocks=2, layers_per_block=1, mlp_ratio=2.5, share=False,
                position="learned", position_width=4)
    yield case("perceiver-learned", "perceiver", keys, (1, 4, 4, 5), Perceiver((4, 4), **keys, channels=1, classes=5))
    keys = dict(latents=5, width=4, heads=1, bands=2, blocks=1, layers_per_block=3, position="none")
    yield case("perceiver-unplaced", "perceiver", keys, (3, 6, 4, 5), Perceiver((6, 4), **keys, classes=5))
    keys = dict(latents=4, width=8, heads=2, bands=4, blocks=2, layers_per_block=1)
    yield case("perceiver-signal", "perceiver", keys, (1, 1, 40, 10), Perceiver((1, 40), **keys, channels=1))
    keys = dict(width=8, depth=2, heads=2, patch=2)
    experts = dict(experts=3)
    model = moe((6, 4), [1], experts, keys, name="moe-sparse", channels=1, classes=5)
    yield case("moe-sparse", "moe", keys | experts, (1, 6, 4, 5), model)
    keys = dict(width=8, depth=3, heads=2, patch=4, pool="mean", mlp_ratio=1.5)
    experts = dict(experts=4, top_k=1, capacity=0.7, priority="score", balance=0.5)
    model = moe(16, [1, 2], experts, keys, name="moe-score")
    yield case("moe-score", "moe", keys | experts | dict(last=2), (3, 16, 16, 10), model, batch=3)
    keys = dict(width=12, depth=2, heads=1, patch=4, position="sincos", pool="mean")
    experts = dict(experts=5, top_k=3, capacity=2.0)
    model = moe((1, 40), [0, 1], experts, keys | {"patch": (1, 4)}, name="moe-signal", channels=1)
    yield case("moe-signal", "moe", keys | experts | dict(every=1), (1, 1, 40, 10), model)
    keys = dict(width=8, depth=2, heads=2, patch=4)
    yield case("moe-soft", "moe", keys | dict(router="soft", experts=3, slots=2), (3, 8, 12, 10),
               moe((8, 12), [1], dict(experts=3, slots=2), keys, soft=True))
    keys = dict(width=8, depth=2, heads=2, patch=2, pool="mean", position="none", mlp_ratio=2.0)
    yield case("moe-soft-last", "moe", keys | dict(router="soft", experts=4, last=2), (1, 6, 6, 5),
               moe(6, [0, 1], dict(experts=4, slots=2), keys, soft=True, channels=1, classes=5))
    keys = dict(width=8, depth=1, heads=2, patch=5)
    yield case("moe-soft-signal", "moe", keys | dict(router="soft", experts=2, slots=1, every=1), (1, 1, 40, 10),
               moe((1, 40), [0], dict(experts=2, slots=1), keys | {"patch": (1, 5)}, soft=True, channels=1))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line) for line in cases()]
    (OUT / "cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
