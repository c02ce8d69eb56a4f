//! The typed outcome of a pair of curves: the one value that the sentence, the JSON and the figure are made of.

use serde::Serialize;

use crate::fit::compare::band::Band;
use crate::fit::compare::measured::Means;

/// In order of importance to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One leads below and the other above, once or more.
    Crosses,
    /// One leads at every scale that both were measured at.
    LeadsThroughout,
    /// One leads at some of these scales; at the others nothing is established.
    LeadsInPart,
    /// No lead is established at any scale.
    NotToldApart,
    /// No scale was measured of both.
    NoOverlap,
}

impl Kind {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Crosses => "crosses",
            Kind::LeadsThroughout => "leads-throughout",
            Kind::LeadsInPart => "leads-in-part",
            Kind::NotToldApart => "not-told-apart",
            Kind::NoOverlap => "no-overlap",
        }
    }
}

/// A crossover with an established lead on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Established {
    pub at: f64,
    pub low: f64,
    pub high: f64,
    pub leads_below: String,
    pub leads_above: String,
}

/// Scales in a row with one leader, or with none that is established.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Region {
    pub from: f64,
    pub to: f64,
    pub leads: Option<String>,
    /// By which share the leader's fitted loss is the lower one at `to`.
    pub lower_by: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conclusion {
    pub kind: Kind,
    pub established: Vec<Established>,
    /// All scales in common, in order.
    pub regions: Vec<Region>,
    /// Where the fitted curves meet within these scales, and nothing is established.
    pub may_cross: Vec<f64>,
    /// Leads of the law's band that the measured means contradict, and that are therefore not called.
    pub contradicted: Vec<Region>,
    /// Probability that no lead of any pair is a false one, and how many pairs that is.
    pub level: f64,
    pub pairs: usize,
}

/// A meeting of the fitted curves within the data.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub at: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub leads_above: String,
}

/// The two curves by name, with their measured means.
pub struct Sides<'a> {
    pub a: (&'a str, &'a Means),
    pub b: (&'a str, &'a Means),
}

/// What the band and the means say together: a lead is one where the band lies off zero and the mean gap of the cells
/// there has the same sign, since the band is only as good as the law, and the cells know of none.
///
/// `scales` are the smallest and the largest in common; without a band nothing is established.
pub fn conclude(
    sides: &Sides,
    scales: (f64, f64),
    band: Option<&Band>,
    candidates: &[Candidate],
    (level, pairs): (f64, usize),
) -> Conclusion {
    let mut conclusion = Conclusion {
        kind: Kind::NoOverlap,
        established: Vec::new(),
        regions: Vec::new(),
        may_cross: Vec::new(),
        contradicted: Vec::new(),
        level,
        pairs,
    };
    if scales.0 > scales.1 {
        return conclusion;
    }
    let name = |sign: i8| match sign {
        0 => None,
        -1 => Some(sides.a.0.to_owned()),
        _ => Some(sides.b.0.to_owned()),
    };
    let whole = vec![Stretch { from: scales.0.ln(), to: scales.1.ln(), sign: 0 }];
    let mut stretches = band.map_or(whole, stretches);
    for stretch in stretches.iter_mut().filter(|stretch| stretch.sign != 0) {
        if mean_gap(sides, stretch) * f64::from(stretch.sign) < 0.0 {
            let (from, to) = (stretch.from.exp(), stretch.to.exp());
            conclusion.contradicted.push(Region { from, to, leads: name(stretch.sign), lower_by: None });
            stretch.sign = 0;
        }
    }
    let stretches = joined(stretches);
    let leads: Vec<&Stretch> = stretches.iter().filter(|stretch| stretch.sign != 0).collect();
    let changes = leads.windows(2).filter(|pair| pair[0].sign != pair[1].sign);
    conclusion.established = changes
        .map(|pair| {
            let (below, above) = (pair[0], pair[1]);
            crossing(below, above, candidates, [name(below.sign), name(above.sign)].map(Option::unwrap_or_default))
        })
        .collect();
    let told = |candidate: &Candidate| conclusion.established.iter().any(|told| told.at == candidate.at);
    conclusion.may_cross =
        candidates.iter().filter(|candidate| !told(candidate)).map(|candidate| candidate.at).collect();
    conclusion.kind = match (leads.len(), stretches.len()) {
        (0, _) => Kind::NotToldApart,
        _ if !conclusion.established.is_empty() => Kind::Crosses,
        (1, 1) => Kind::LeadsThroughout,
        _ => Kind::LeadsInPart,
    };
    let region = |stretch: &Stretch| Region {
        from: stretch.from.exp(),
        to: stretch.to.exp(),
        leads: name(stretch.sign),
        lower_by: (stretch.sign != 0).then(|| -(-gap_at(band, stretch.to).abs()).exp_m1()),
    };
    conclusion.regions = stretches.iter().map(region).collect();
    // exp(ln x) is not x to the last bit.
    if let Some(first) = conclusion.regions.first_mut() {
        first.from = scales.0;
    }
    if let Some(last) = conclusion.regions.last_mut() {
        last.to = scales.1;
    }
    conclusion
}

/// Scales in a row, in ln, over which the band lies below zero (-1: a leads), above it (1: b leads) or on it (0).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    from: f64,
    to: f64,
    sign: i8,
}

fn stretches(band: &Band) -> Vec<Stretch> {
    let sign = |i: usize| match band.gap[i] {
        gap if gap < -band.margin[i] => -1,
        gap if gap > band.margin[i] => 1,
        _ => 0,
    };
    // Where a value that is linear between two places of the grid passes zero.
    let zero = |i: usize, left: f64, right: f64| {
        let share = match (left.is_finite(), right.is_finite()) {
            // A lead ends at the last place where it is tested.
            (true, false) => 0.0,
            (false, true) => 1.0,
            _ if left == right => 0.5,
            _ => (left / (left - right)).clamp(0.0, 1.0),
        };
        band.ln_x[i] + share * (band.ln_x[i + 1] - band.ln_x[i])
    };
    let off = |i: usize| band.gap[i].abs() - band.margin[i];
    let mut found: Vec<Stretch> = Vec::new();
    for i in 0..band.ln_x.len() {
        let here = sign(i);
        match found.last_mut() {
            Some(last) if last.sign == here => last.to = band.ln_x[i],
            Some(last) => {
                let at = if last.sign * here == 0 {
                    zero(i - 1, off(i - 1), off(i))
                } else {
                    zero(i - 1, band.gap[i - 1], band.gap[i])
                };
                last.to = at;
                found.push(Stretch { from: at, to: band.ln_x[i], sign: here });
            }
            None => found.push(Stretch { from: band.ln_x[i], to: band.ln_x[i], sign: here }),
        }
    }
    found
}

/// The fitted gap at ln x, on the line between places of the grid.
fn gap_at(band: Option<&Band>, ln_x: f64) -> f64 {
    let Some(Band { ln_x: grid, gap, .. }) = band else { return 0.0 };
    let after = grid.partition_point(|t| *t < ln_x).min(grid.len() - 1);
    let before = after.saturating_sub(1);
    let share = if after == before { 0.0 } else { (ln_x - grid[before]) / (grid[after] - grid[before]) };
    gap[before] + share * (gap[after] - gap[before])
}

/// Neighbours with the same sign as one.
fn joined(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if last.sign == stretch.sign => last.to = stretch.to,
            _ => joined.push(stretch),
        }
    }
    joined
}

/// The mean gap of the cells at the scales of either curve within the stretch, or in its middle where there is none.
fn mean_gap(sides: &Sides, stretch: &Stretch) -> f64 {
    let gap = |t: f64| Some(sides.a.1.ln_loss(t)? - sides.b.1.ln_loss(t)?);
    let slack = 1e-9 * stretch.to.abs().max(1.0);
    let within = |t: &f64| stretch.from - slack <= *t && *t <= stretch.to + slack;
    let gaps: Vec<f64> = sides.a.1.ln_scales().chain(sides.b.1.ln_scales()).filter(within).filter_map(gap).collect();
    match gaps.len() {
        0 => gap(0.5 * (stretch.from + stretch.to)).unwrap_or(0.0),
        count => gaps.iter().sum::<f64>() / count as f64,
    }
}

/// The meeting between two leads; its interval ends where they begin, if the resamples give it no end.
fn crossing(
    below: &Stretch,
    above: &Stretch,
    candidates: &[Candidate],
    [leads_below, leads_above]: [String; 2],
) -> Established {
    let middle = 0.5 * (below.to + above.from);
    let fits = |candidate: &&Candidate| candidate.leads_above == leads_above;
    let near = |candidate: &Candidate| (candidate.at.ln() - middle).abs();
    let nearest = candidates.iter().filter(fits).min_by(|a, b| near(a).total_cmp(&near(b)));
    let (at, low, high) = nearest.map_or((middle.exp(), None, None), |found| (found.at, found.low, found.high));
    Established {
        at,
        low: low.unwrap_or_else(|| below.to.exp().min(at)),
        high: high.unwrap_or_else(|| above.from.exp().max(at)),
        leads_below,
        leads_above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::data::curve::split;
    use crate::fit::data::scale::Scale;
    use crate::fit::tests::planted;
    use crate::point::Axis;

    fn means(law: impl Fn(f64) -> f64) -> Means {
        let xs: Vec<f64> = (0..=8).map(|t| f64::from(t).exp()).collect();
        Means::of(&split(&planted("a", law, &xs, 2, 0.0, 0), Scale::Curve(Axis::Data), 0)[0])
    }

    /// Of curves over ln x from 0 to 8 whose log losses differ by `gap`, with a band of half-width 0.5.
    fn concluded(
        gap: impl Fn(f64) -> f64 + Copy,
        measured: impl Fn(f64) -> f64,
        meetings: &[(f64, &str)],
    ) -> Conclusion {
        let ln_x: Vec<f64> = (0..=80).map(|i| f64::from(i) / 10.0).collect();
        let band = Band { gap: ln_x.iter().map(|t| gap(*t)).collect(), margin: vec![0.5; ln_x.len()], ln_x };
        let (a, b) = (means(|x| measured(x.ln()).exp()), means(|_| 1.0));
        let candidates: Vec<Candidate> = meetings
            .iter()
            .map(|(t, above)| Candidate { at: t.exp(), low: None, high: None, leads_above: (*above).into() })
            .collect();
        let sides = Sides { a: ("a", &a), b: ("b", &b) };
        conclude(&sides, (1.0, 8f64.exp()), Some(&band), &candidates, (0.95, 1))
    }

    fn leaders(conclusion: &Conclusion) -> Vec<(f64, f64, Option<&str>)> {
        let round = |x: f64| (x.ln() * 1e6).round() / 1e6;
        conclusion.regions.iter().map(|r| (round(r.from), round(r.to), r.leads.as_deref())).collect()
    }

    #[test]
    fn a_crossover_lies_between_two_leads() {
        let gap = |t: f64| t - 4.0;
        let found = concluded(gap, gap, &[(4.0, "b")]);
        assert_eq!(found.kind, Kind::Crosses);
        assert_eq!(leaders(&found), [(0.0, 3.5, Some("a")), (3.5, 4.5, None), (4.5, 8.0, Some("b"))]);
        let told = &found.established[0];
        // The resamples gave no end: the leads do.
        assert!((told.at.ln() - 4.0).abs() < 1e-9 && (told.low.ln() - 3.5).abs() < 1e-9, "{told:?}");
        assert_eq!((told.leads_below.as_str(), told.leads_above.as_str(), found.may_cross.len()), ("a", "b", 0));
        assert!((found.regions[0].lower_by.unwrap() - (1.0 - (-0.5f64).exp())).abs() < 1e-9);
    }

    #[test]
    fn one_lead_is_no_crossover() {
        let found = concluded(|t| t - 7.8, |t| t - 7.8, &[(7.8, "b")]);
        assert_eq!(found.kind, Kind::LeadsInPart);
        assert_eq!((found.established.len(), found.may_cross.len()), (0, 1));
        assert_eq!(leaders(&found), [(0.0, 7.3, Some("a")), (7.3, 8.0, None)]);
        assert_eq!(concluded(|_| -1.0, |_| -1.0, &[]).kind, Kind::LeadsThroughout);
        let apart = concluded(|t| 0.1 * (t - 4.0), |t| 0.1 * (t - 4.0), &[(4.0, "b")]);
        assert_eq!((apart.kind, apart.may_cross.len(), leaders(&apart).len()), (Kind::NotToldApart, 1, 1));
    }

    #[test]
    fn two_crossovers_are_two() {
        let gap = |t: f64| 0.4 * (t - 2.0) * (t - 6.0);
        let found = concluded(gap, gap, &[(2.0, "a"), (6.0, "b")]);
        let told: Vec<&str> = found.established.iter().map(|told| told.leads_above.as_str()).collect();
        assert_eq!((found.kind, told), (Kind::Crosses, vec!["a", "b"]));
    }

    #[test]
    fn a_lead_that_the_means_contradict_is_not_called() {
        // The law crosses, and what was measured does not.
        let found = concluded(|t| t - 4.0, |_| -0.2, &[(4.0, "b")]);
        assert_eq!((found.kind, found.established.len()), (Kind::LeadsInPart, 0));
        assert_eq!(found.contradicted[0].leads.as_deref(), Some("b"));
        assert_eq!(leaders(&found), [(0.0, 3.5, Some("a")), (3.5, 8.0, None)]);
    }

    #[test]
    fn without_a_band_or_a_scale_in_common_nothing_is_established() {
        let (a, b) = (means(|_| 1.0), means(|_| 2.0));
        let sides = Sides { a: ("a", &a), b: ("b", &b) };
        let none = conclude(&sides, (1.0, 8.0), None, &[], (0.95, 1));
        assert_eq!((none.kind, none.regions.len()), (Kind::NotToldApart, 1));
        assert_eq!(conclude(&sides, (8.0, 1.0), None, &[], (0.95, 1)).kind, Kind::NoOverlap);
    }
}
