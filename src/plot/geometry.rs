//! Plane geometry of figures, in pixels: clipping, dashing, and where a label covers nothing.

use super::canvas::Xy;

/// Edges in pixels; `top` is the lesser y.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Rect {
    pub fn new((left, top): Xy, (width, height): Xy) -> Rect {
        Rect { left, top, right: left + width, bottom: top + height }
    }

    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub fn contains(&self, (x, y): Xy) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    pub fn holds(&self, other: &Rect) -> bool {
        self.contains((other.left, other.top)) && self.contains((other.right, other.bottom))
    }

    pub fn touches(&self, other: &Rect) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    pub fn grown(&self, by: f64) -> Rect {
        Rect { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by }
    }

    pub fn corners(&self) -> [Xy; 4] {
        [(self.left, self.top), (self.right, self.top), (self.right, self.bottom), (self.left, self.bottom)]
    }
}

/// The parts of a polyline inside `rect`.
pub fn clip(line: &[Xy], rect: &Rect) -> Vec<Vec<Xy>> {
    let mut parts: Vec<Vec<Xy>> = Vec::new();
    for pair in line.windows(2) {
        let Some((from, to)) = clip_segment(pair[0], pair[1], rect) else { continue };
        match parts.last_mut() {
            Some(part) if part.last() == Some(&from) => part.push(to),
            _ => parts.push(vec![from, to]),
        }
    }
    parts
}

/// Liang and Barsky, 1984: the parameters at which the segment enters and leaves.
fn clip_segment(from: Xy, to: Xy, rect: &Rect) -> Option<(Xy, Xy)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let edges =
        [(-dx, from.0 - rect.left), (dx, rect.right - from.0), (-dy, from.1 - rect.top), (dy, rect.bottom - from.1)];
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    for (towards, room) in edges {
        if towards == 0.0 && room < 0.0 {
            return None;
        }
        if towards < 0.0 {
            enter = enter.max(room / towards);
        } else if towards > 0.0 {
            leave = leave.min(room / towards);
        }
    }
    let at = |share: f64| match share {
        0.0 => from,
        1.0 => to,
        _ => (from.0 + share * dx, from.1 + share * dy),
    };
    (enter < leave).then(|| (at(enter), at(leave)))
}

/// Cuts a polyline into strokes; `pattern` alternates stroke and gap lengths, and an empty one is a solid line.
pub fn dashed(line: &[Xy], pattern: &[f64]) -> Vec<Vec<Xy>> {
    if pattern.is_empty() {
        return vec![line.to_vec()];
    }
    let mut strokes = Vec::new();
    let mut stroke: Vec<Xy> = line.first().copied().into_iter().collect();
    let (mut phase, mut left) = (0, pattern[0]);
    for pair in line.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length <= left {
                left -= length;
                stroke.push(to);
                break;
            }
            from = (from.0 + left / length * (to.0 - from.0), from.1 + left / length * (to.1 - from.1));
            stroke.push(from);
            if phase % 2 == 0 {
                strokes.push(std::mem::take(&mut stroke));
            }
            stroke = vec![from];
            phase = (phase + 1) % pattern.len();
            left = pattern[phase];
        }
    }
    if phase % 2 == 0 {
        strokes.push(stroke);
    }
    strokes
}

/// Points of a polyline, at most `step` apart.
pub fn sampled(line: &[Xy], step: f64) -> Vec<Xy> {
    let between = |pair: &[Xy]| {
        let (from, to) = (pair[0], pair[1]);
        let count = ((to.0 - from.0).hypot(to.1 - from.1) / step).ceil().clamp(1.0, 10_000.0);
        (0..count as usize)
            .map(move |k| k as f64 / count)
            .map(move |share| (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)))
            .collect::<Vec<_>>()
    };
    line.windows(2).flat_map(between).chain(line.last().copied()).collect()
}

/// What a label should keep clear of, and how much it hurts to cover it; `NEVER` rules a place out.
pub type Obstacle = (Xy, f64);
pub const NEVER: f64 = f64::INFINITY;

/// Sum of what a label in `rect` would cover.
pub fn covered(rect: &Rect, obstacles: &[Obstacle]) -> f64 {
    let rect = rect.grown(5.0);
    obstacles.iter().filter(|(at, _)| rect.contains(*at)).map(|(_, weight)| weight).sum()
}

/// The place for a box of `size` inside `frame` that covers least: corners first, then anywhere.
/// None if the least is more than `bearable`.
pub fn free_spot(frame: &Rect, size: Xy, obstacles: &[Obstacle], bearable: f64) -> Option<Rect> {
    const STEPS: i32 = 16;
    const INSET: f64 = 8.0;
    let (room_x, room_y) = (frame.width() - 2.0 * INSET - size.0, frame.height() - 2.0 * INSET - size.1);
    if room_x < 0.0 || room_y < 0.0 {
        return None;
    }
    let share = |step: i32| f64::from(step) / f64::from(STEPS);
    let places = (0..=STEPS).flat_map(|down| (0..=STEPS).map(move |along| (share(STEPS - along), share(down))));
    places
        .map(|(along, down)| {
            let rect = Rect::new((frame.left + INSET + along * room_x, frame.top + INSET + down * room_y), size);
            // Away from the edges looks lost: it counts as much as covering a little.
            let stray = 0.4 * (along.min(1.0 - along) + down.min(1.0 - down));
            (covered(&rect, obstacles), stray, rect)
        })
        .filter(|(cost, _, _)| *cost <= bearable)
        .min_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)))
        .map(|(_, _, rect)| rect)
}

/// Tops of boxes below one another within 0 to `room`, each as near to its wanted top as the others let it.
/// `boxes` are wanted tops, in order, and heights. Where there is too little room the last ones stand out below.
pub fn spread(boxes: &[(f64, f64)], room: f64) -> Vec<f64> {
    /// Boxes that touch: their number, their height, and the sum of the tops that they want for the first of them.
    struct Pile {
        count: usize,
        height: f64,
        wanted: f64,
    }
    impl Pile {
        fn top(&self, room: f64) -> f64 {
            (self.wanted / self.count as f64).min(room - self.height).max(0.0)
        }
    }
    let mut piles: Vec<Pile> = Vec::new();
    for &(wanted, height) in boxes {
        let mut pile = Pile { count: 1, height, wanted };
        while let Some(above) = piles.pop_if(|above| above.top(room) + above.height > pile.top(room)) {
            pile.wanted = above.wanted + pile.wanted - pile.count as f64 * above.height;
            pile.count += above.count;
            pile.height += above.height;
        }
        piles.push(pile);
    }
    let mut tops = Vec::new();
    for pile in &piles {
        let mut top = pile.top(room);
        for (_, height) in &boxes[tops.len()..tops.len() + pile.count] {
            tops.push(top);
            top += height;
        }
    }
    tops
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: Rect = Rect { left: 0.0, top: 0.0, right: 10.0, bottom: 10.0 };

    #[test]
    fn clipping_keeps_what_is_inside() {
        assert_eq!(clip(&[(-5.0, 5.0), (5.0, 5.0), (15.0, 5.0)], &SQUARE), [[(0.0, 5.0), (5.0, 5.0), (10.0, 5.0)]]);
        assert_eq!(clip(&[(2.0, 8.0), (4.0, 16.0), (6.0, 8.0)], &SQUARE).len(), 2);
        assert!(clip(&[(-5.0, 20.0), (15.0, 20.0)], &SQUARE).is_empty());
    }

    #[test]
    fn dashes_keep_their_lengths_round_corners() {
        let line = [(0.0, 0.0), (7.0, 0.0), (7.0, 7.0)];
        let strokes = dashed(&line, &[4.0, 2.0]);
        assert_eq!(strokes[0], [(0.0, 0.0), (4.0, 0.0)]);
        assert_eq!(strokes[1], [(6.0, 0.0), (7.0, 0.0), (7.0, 3.0)]);
        assert_eq!(strokes[2], [(7.0, 5.0), (7.0, 7.0)]);
        assert_eq!(dashed(&line, &[]), [line]);
    }

    #[test]
    fn a_label_goes_where_nothing_is() {
        let frame = Rect { left: 0.0, top: 0.0, right: 200.0, bottom: 200.0 };
        let busy: Vec<Obstacle> = sampled(&[(0.0, 0.0), (200.0, 200.0)], 2.0).into_iter().map(|at| (at, 1.0)).collect();
        let spot = free_spot(&frame, (60.0, 40.0), &busy, 0.0).unwrap();
        assert_eq!((spot.right, spot.top), (192.0, 8.0));
        let full: Vec<Obstacle> =
            (0..400).map(|k| ((f64::from(k % 20) * 10.0, f64::from(k / 20) * 10.0), NEVER)).collect();
        assert_eq!(free_spot(&frame, (60.0, 40.0), &full, 1e9), None);
        assert_eq!(free_spot(&frame, (600.0, 40.0), &[], 1e9), None);
    }

    #[test]
    fn names_that_want_the_same_place_share_what_is_near() {
        assert_eq!(spread(&[(10.0, 5.0), (50.0, 5.0)], 100.0), [10.0, 50.0]);
        assert_eq!(spread(&[(10.0, 6.0), (10.0, 6.0), (13.0, 6.0)], 100.0), [5.0, 11.0, 17.0]);
        assert_eq!(spread(&[(-9.0, 5.0), (2.0, 5.0), (98.0, 5.0)], 100.0), [0.0, 5.0, 95.0]);
        assert_eq!(spread(&[(98.0, 40.0), (99.0, 40.0), (99.0, 40.0)], 100.0), [0.0, 40.0, 80.0]);
        assert!(spread(&[], 100.0).is_empty());
    }
}
