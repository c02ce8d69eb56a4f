//! Attention of small heads over few tokens, head by head in the caches: softmax(q k' / sqrt(d)) v (Vaswani et al. 2017,
//! arXiv 1706.03762). Backward it computes the weights anew, of what was kept of their sums, as flash attention does (Dao et al.
//! 2022, arXiv 2205.14135); nothing of `[tokens, tokens]` is kept.
//!
//! Letters: N queries and M keys of an image, H heads, d numbers of a head.

use tch::{Kind, Tensor};

use super::dense::{Left, padded, product};
use super::node::node;
use super::simd::{LANES, exp, vectorised};
use super::{Bf16, Number, each, numbers, numbers_mut, takes};

/// Numbers of a head's keys beyond which libtorch's kernel is as fast: there its products of matrices pay (docs/performance.md).
const NUMBERS: i64 = 4200;

/// Of queries, keys and values: `[B, N, 3, H, d]`, or `[B, N, 1, H, d]` and `[B, M, 2, H, d]`, or each by itself. `[B, N, H * d]`; none
/// where libtorch's own is to be taken.
pub fn attend(inputs: &[&Tensor]) -> Option<Tensor> {
    let small = |input: &&Tensor| {
        let size = input.size();
        input.numel() > 0 && size[1] * size[4] <= NUMBERS
    };
    let fits = takes(inputs) && inputs.iter().all(small);
    fits.then(|| match inputs[0].kind() {
        Kind::BFloat16 => of::<Bf16>(inputs),
        _ => of::<f32>(inputs),
    })
}

fn of<N: Number>(inputs: &[&Tensor]) -> Tensor {
    let shape = Shape::of(inputs);
    let Shape { images, queries, heads, width, .. } = shape;
    let kept = (Kind::Float, inputs[0].device());
    let mut sums = Tensor::empty([(2 * images * heads * queries) as i64], kept);
    let out = [images, queries, heads * width].map(|size| size as i64);
    let mut value = Tensor::empty(out, (N::KIND, kept.1));
    let given: Vec<&[N]> = inputs.iter().map(|input| numbers(input)).collect();
    let outs = numbers_mut::<N>(&mut value).chunks_mut(queries * heads * width);
    let all = outs.zip(numbers_mut::<f32>(&mut sums).chunks_mut(2 * heads * queries)).enumerate().collect();
    each(
        all,
        || Scratch::new(shape),
        |scratch, (image, (out, sums))| forward(scratch, &shape.image(&given, image), out, sums),
    );
    if !inputs.iter().any(|input| input.requires_grad()) {
        return value;
    }
    let saved: Vec<&Tensor> = inputs.iter().copied().chain([&sums]).collect();
    node(inputs, &value, &saved, gradients::<N>)
}

/// Of the inputs, from that of the output; saved are the inputs, then what `forward` tells of sums.
fn gradients<N: Number>(grad: &Tensor, saved: &[Tensor]) -> Vec<Tensor> {
    let inputs: Vec<&Tensor> = saved[..saved.len() - 1].iter().collect();
    let shape = Shape::of(&inputs);
    let (grad, sums) = (grad.contiguous(), numbers::<f32>(&saved[saved.len() - 1]));
    let mut made: Vec<Tensor> = inputs.iter().map(|input| input.empty_like()).collect();
    let given: Vec<&[N]> = inputs.iter().map(|input| numbers(input)).collect();
    let mut into: Vec<Vec<&mut [N]>> = (0..shape.images).map(|_| Vec::new()).collect();
    for tensor in &mut made {
        let length = tensor.numel() / shape.images;
        let parts = numbers_mut::<N>(tensor).chunks_mut(length);
        into.iter_mut().zip(parts).for_each(|(image, part)| image.push(part));
    }
    let grads = numbers::<N>(&grad).chunks(shape.queries * shape.heads * shape.width);
    let all = into.into_iter().zip(grads.zip(sums.chunks(2 * shape.heads * shape.queries))).enumerate().collect();
    each(
        all,
        || Scratch::new(shape),
        |scratch, (image, (mut into, (grad, sums)))| {
            backward(scratch, &shape.image(&given, image), grad, sums, &mut into);
        },
    );
    made
}

#[derive(Clone, Copy)]
struct Shape {
    images: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    width: usize,
}

impl Shape {
    fn of(inputs: &[&Tensor]) -> Self {
        let (first, last) = (inputs[0].size(), inputs[inputs.len() - 1].size());
        let [images, queries, keys, heads, width] =
            [first[0], first[1], last[1], first[3], first[4]].map(|size| size as usize);
        Self { images, queries, keys, heads, width }
    }

    /// What an image has in each input.
    fn image<'a, N>(&self, inputs: &[&'a [N]], image: usize) -> Vec<&'a [N]> {
        let part = |input: &&'a [N]| {
            let length = input.len() / self.images;
            &input[image * length..][..length]
        };
        inputs.iter().map(part).collect()
    }
}

/// Where queries, keys or values lie in what an image has in an input.
#[derive(Clone, Copy)]
struct Part {
    input: usize,
    offset: usize,
    /// From one token to the next.
    row: usize,
}

/// A head's matrices, as [`product`] takes them. Weights have a row a key, so that sums over keys are of whole rows. What is
/// beyond the sizes stays zero where it is read.
struct Scratch {
    shape: Shape,
    /// d and N, up to whole tiles.
    columns: [usize; 2],
    /// `[d, N]`, queries or gradients.
    turned: Vec<f32>,
    /// `[N, d]`, the same.
    q: Vec<f32>,
    /// `[M, d]`
    k: Vec<f32>,
    v: Vec<f32>,
    grad: Vec<f32>,
    /// `[M, N]`
    weights: Vec<f32>,
    slopes: Vec<f32>,
    /// `[N or M, d]`
    out: Vec<f32>,
    /// `[N]`
    line: Vec<f32>,
}

impl Scratch {
    fn new(shape: Shape) -> Self {
        let Shape { queries, keys, width, .. } = shape;
        Self {
            shape,
            columns: [width, queries].map(|size| size.next_multiple_of(LANES)),
            turned: padded(width, queries),
            q: padded(queries, width),
            k: padded(keys, width),
            v: padded(keys, width),
            grad: padded(queries, width),
            weights: padded(keys, queries),
            slopes: padded(keys, queries),
            out: padded(queries.max(keys), width),
            line: padded(1, queries),
        }
    }

    fn parts(&self, inputs: usize) -> [Part; 3] {
        let all = self.shape.heads * self.shape.width;
        let part = |input, place, of| Part { input, offset: place * all, row: of * all };
        match inputs {
            1 => [part(0, 0, 3), part(0, 1, 3), part(0, 2, 3)],
            2 => [part(0, 0, 1), part(1, 0, 2), part(1, 1, 2)],
            _ => [part(0, 0, 1), part(1, 0, 1), part(2, 0, 1)],
        }
    }
}

vectorised! {
    /// `out` is `[N, H, d]`; `sums` `[H, 2, N]` are the largest scores, and one over the sums of exponentials of what is below them.
    fn forward<L, N: Number>(scratch: &mut Scratch, image: &[&[N]], out: &mut [N], sums: &mut [f32]) {
        let Shape { queries, keys, heads, width, .. } = scratch.shape;
        let ([wide, long], [q, k, v]) = (scratch.columns, scratch.parts(image.len()));
        let scale = 1.0 / (width as f32).sqrt();
        for (head, sums) in (0..heads).zip(sums.chunks_exact_mut(2 * queries)) {
            read_turned(&mut scratch.turned, long, image, q, [head, queries, width], scale);
            read(&mut scratch.k, wide, image, k, [head, keys, width], 1.0);
            read(&mut scratch.v, wide, image, v, [head, keys, width], 1.0);
            product::<L>([keys, width, long], Left::rows(&scratch.k, wide), &scratch.turned, &mut scratch.weights);
            let (tops, shares) = sums.split_at_mut(queries);
            softmax(&mut scratch.weights[..keys * long], long, &mut scratch.line, tops, shares);
            product::<L>([queries, keys, wide], Left::columns(&scratch.weights, long), &scratch.v, &mut scratch.out);
            write(out, &scratch.out, wide, Part { input: 0, offset: 0, row: heads * width }, [head, queries, width], 1.0);
        }
    }
}

vectorised! {
    /// Gradients of an image's inputs, from `grad [N, H, d]` of what came of them.
    fn backward<L, N: Number>(scratch: &mut Scratch, image: &[&[N]], grad: &[N], sums: &[f32], into: &mut [&mut [N]]) {
        let Shape { queries, keys, heads, width, .. } = scratch.shape;
        let ([wide, long], [q, k, v]) = (scratch.columns, scratch.parts(image.len()));
        let scale = 1.0 / (width as f32).sqrt();
        let of_out = Part { input: 0, offset: 0, row: heads * width };
        for (head, sums) in (0..heads).zip(sums.chunks_exact(2 * queries)) {
            read_turned(&mut scratch.turned, long, image, q, [head, queries, width], scale);
            read(&mut scratch.k, wide, image, k, [head, keys, width], 1.0);
            product::<L>([keys, width, long], Left::rows(&scratch.k, wide), &scratch.turned, &mut scratch.weights);
            read_turned(&mut scratch.turned, long, &[grad], of_out, [head, queries, width], 1.0);
            read(&mut scratch.v, wide, image, v, [head, keys, width], 1.0);
            product::<L>([keys, width, long], Left::rows(&scratch.v, wide), &scratch.turned, &mut scratch.slopes);
            let (tops, shares) = sums.split_at(queries);
            softmax_backward(&mut scratch.weights[..keys * long], &mut scratch.slopes, long, &mut scratch.line, tops, shares);
            read(&mut scratch.grad, wide, &[grad], of_out, [head, queries, width], 1.0);
            product::<L>([keys, queries, wide], Left::rows(&scratch.weights, long), &scratch.grad, &mut scratch.out);
            write(into[v.input], &scratch.out, wide, v, [head, keys, width], 1.0);
            read(&mut scratch.q, wide, image, q, [head, queries, width], scale);
            product::<L>([keys, queries, wide], Left::rows(&scratch.slopes, long), &scratch.q, &mut scratch.out);
            write(into[k.input], &scratch.out, wide, k, [head, keys, width], 1.0);
            product::<L>([queries, keys, wide], Left::columns(&scratch.slopes, long), &scratch.k, &mut scratch.out);
            write(into[q.input], &scratch.out, wide, q, [head, queries, width], scale);
        }
    }
}

/// A head's rows.
#[inline(always)]
fn read<N: Number>(
    into: &mut [f32],
    columns: usize,
    image: &[&[N]],
    part: Part,
    [head, rows, width]: [usize; 3],
    scale: f32,
) {
    let from = image[part.input][part.offset + head * width..].chunks(part.row);
    for (into, from) in into.chunks_exact_mut(columns).zip(from).take(rows) {
        for (into, from) in into.iter_mut().zip(&from[..width]) {
            *into = from.get() * scale;
        }
    }
}

/// A head's rows as columns.
#[inline(always)]
fn read_turned<N: Number>(
    into: &mut [f32],
    columns: usize,
    image: &[&[N]],
    part: Part,
    [head, rows, width]: [usize; 3],
    scale: f32,
) {
    const AT_ONCE: usize = 4;
    let from = &image[part.input][part.offset + head * width..];
    let line = |token: usize| &from[token * part.row..][..width];
    let whole = rows / AT_ONCE * AT_ONCE;
    for token in (0..whole).step_by(AT_ONCE) {
        let lines: [&[N]; AT_ONCE] = std::array::from_fn(|i| line(token + i));
        for (at, into) in into[token..].chunks_mut(columns).enumerate().take(width) {
            for i in 0..AT_ONCE {
                into[i] = lines[i][at].get() * scale;
            }
        }
    }
    for token in whole..rows {
        for (into, from) in into[token..].iter_mut().step_by(columns).zip(line(token)) {
            *into = from.get() * scale;
        }
    }
}

#[inline(always)]
fn write<N: Number>(
    into: &mut [N],
    from: &[f32],
    columns: usize,
    part: Part,
    [head, rows, width]: [usize; 3],
    scale: f32,
) {
    let into = into[part.offset + head * width..].chunks_mut(part.row);
    for (into, from) in into.zip(from.chunks_exact(columns)).take(rows) {
        for (into, from) in into[..width].iter_mut().zip(from) {
            *into = N::of(from * scale);
        }
    }
}

/// Of scores, a row a key, the weights of each column; and of each column the largest score, and one over the sum of exponentials.
#[inline(always)]
fn softmax(weights: &mut [f32], columns: usize, sums: &mut [f32], tops: &mut [f32], shares: &mut [f32]) {
    let sums = &mut sums[..columns];
    sums.fill(f32::NEG_INFINITY);
    for row in weights.chunks_exact(columns) {
        for (top, score) in sums.iter_mut().zip(row) {
            *top = if *score > *top { *score } else { *top };
        }
    }
    for row in weights.chunks_exact_mut(columns) {
        for (score, top) in row.iter_mut().zip(&*sums) {
            *score = exp(*score - top);
        }
    }
    tops.copy_from_slice(&sums[..tops.len()]);
    sums.fill(0.0);
    for row in weights.chunks_exact(columns) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += weight;
        }
    }
    sums.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
    for row in weights.chunks_exact_mut(columns) {
        for (weight, share) in row.iter_mut().zip(&*sums) {
            *weight *= share;
        }
    }
    shares.copy_from_slice(&sums[..shares.len()]);
}

/// From scores and gradients of weights to weights and gradients of scores.
#[inline(always)]
fn softmax_backward(
    weights: &mut [f32],
    slopes: &mut [f32],
    columns: usize,
    means: &mut [f32],
    tops: &[f32],
    shares: &[f32],
) {
    for row in weights.chunks_exact_mut(columns) {
        for (weight, (top, share)) in row.iter_mut().zip(tops.iter().zip(shares)) {
            *weight = exp(*weight - top) * share;
        }
    }
    let means = &mut means[..columns];
    means.fill(0.0);
    for (weights, slopes) in weights.chunks_exact(columns).zip(slopes.chunks_exact(columns)) {
        for (mean, (weight, slope)) in means.iter_mut().zip(weights.iter().zip(slopes)) {
            *mean += weight * slope;
        }
    }
    for (weights, slopes) in weights.chunks_exact(columns).zip(slopes.chunks_exact_mut(columns)) {
        for ((slope, weight), mean) in slopes.iter_mut().zip(weights).zip(&*means) {
            *slope = weight * (*slope - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;
    use super::*;
    use tch::Device;

    /// By libtorch's own operations, in float64.
    fn plain(inputs: &[&Tensor]) -> Tensor {
        let parts = inputs.iter().flat_map(|input| input.permute([2, 0, 3, 1, 4]).unbind(0));
        let parts: Vec<Tensor> = parts.map(|part| part.to_kind(Kind::Double)).collect();
        let scale = (parts[0].size()[3] as f64).sqrt();
        let weights = (parts[0].matmul(&parts[1].transpose(2, 3)) / scale).softmax(-1, Kind::Double);
        weights.matmul(&parts[2]).transpose(1, 2).flatten(2, 3)
    }

    fn largest(x: &Tensor) -> f64 {
        x.abs().max().double_value(&[])
    }

    /// Shapes with whole tiles and without, of few and of many.
    #[test]
    fn attention_and_its_gradients_are_those_of_its_formula() {
        for (n, m, heads, width) in
            [(50, 50, 4, 16), (17, 33, 3, 21), (1, 2, 1, 1), (49, 50, 2, 64), (6, 256, 1, 7), (18, 16, 2, 32)]
        {
            for parts in [1, 2, 3] {
                let m = if parts == 1 { n } else { m };
                let sizes = match parts {
                    1 => vec![(n, 3)],
                    2 => vec![(n, 1), (m, 2)],
                    _ => vec![(n, 1), (m, 1), (m, 1)],
                };
                let make = |(tokens, of): &(i64, i64)| {
                    (drawn(5, &[3, *tokens, *of, heads, width]) * 2.0).set_requires_grad(true)
                };
                let inputs: Vec<Tensor> = sizes.iter().map(make).collect();
                let inputs: Vec<&Tensor> = inputs.iter().collect();
                let grad = drawn(6, &[3, n, heads * width]);
                let (ours, theirs) = (attend(&inputs).unwrap(), plain(&inputs));
                assert!(
                    largest(&(&ours - &theirs)) < 4e-6 * largest(&theirs).max(1.0),
                    "{n} {m} {heads} {width} {parts}"
                );
                let [ours, theirs] = [ours, theirs.to_kind(Kind::Float)]
                    .map(|out| Tensor::run_backward(&[(&out * &grad).sum(Kind::Float)], &inputs, false, false));
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert!(
                        largest(&(ours - theirs)) < 1e-5 * largest(theirs).max(1.0),
                        "{n} {m} {heads} {width} {parts}"
                    );
                }
                let of_bf16: Vec<Tensor> = inputs.iter().map(|input| input.detach().to_kind(Kind::BFloat16)).collect();
                let of_bf16: Vec<&Tensor> = of_bf16.iter().collect();
                let (ours, theirs) = (attend(&of_bf16).unwrap(), plain(&of_bf16));
                assert_eq!((ours.kind(), ours.requires_grad()), (Kind::BFloat16, false));
                assert!(
                    largest(&(&ours.to_kind(Kind::Double) - &theirs)) < 4e-3 * largest(&theirs),
                    "bf16 {n} {m} {heads} {width} {parts}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        let x = Tensor::ones([1, 20, 3, 1, 8], (Kind::Float, Device::Cpu));
        let _ = x.get(0).get(3).get(0).fill_(f64::NAN); // a query
        let out = attend(&[&x]).unwrap();
        assert!(out.get(0).get(3).isnan().all().double_value(&[]) == 1.0);
        assert!(out.get(0).get(4).isnan().any().double_value(&[]) == 0.0);
    }

    #[test]
    fn large_heads_are_for_libtorch() {
        let zeros = |tokens| Tensor::zeros([1, tokens, 3, 1, 8], (Kind::Float, Device::Cpu));
        assert!(attend(&[&zeros(NUMBERS / 8 + 1)]).is_none() && attend(&[&zeros(NUMBERS / 8)]).is_some());
    }
}
