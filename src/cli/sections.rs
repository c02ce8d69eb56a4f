//! What `crossover fit` says of curves beside one another: multipliers, shared parameters, back-test, multiverse.

use serde::Serialize;

use super::table::{paragraph, table};
use crate::error::{Error, Result};
use crate::fit::compare::backtest::{Backtest, Decision, LawOfTrial, Outcome, Predicted};
use crate::fit::compare::conclusion::Kind;
use crate::fit::compare::multiplier::{At, Multiplier};
use crate::fit::compare::multiverse::{Agreement, Convention, Multiverse, NotApplied, Pair};
use crate::fit::compare::shared::{SIGNIFICANCE, Sharing, Test};
use crate::fit::laws::Domain;
use crate::fit::{self, Analysis, Settings};
use crate::point::Axis;
use crate::study::Study;
use crate::units::si;

/// Decisions of a back-test beyond which only the wrong ones are printed.
const MOST_ROWS: usize = 30;

/// Pairs of curves beyond which a multiverse has one line for each.
const MOST_PAIRS: usize = 3;

/// Sections beside the fits and crossovers; each refits the curves many times.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Comparison")]
pub struct Sections {
    /// Test whether the curves share an exponent or a floor, and fit them together where they may
    #[arg(long)]
    pub shared: bool,

    /// Hide the largest scales, predict from the small ones who leads there, and count the errors
    #[arg(long)]
    pub backtest: bool,

    /// Ask whether the conclusion holds under other outlier rules, objectives, scales and ways to count compute
    #[arg(long)]
    pub multiverse: bool,

    /// Another column of the file that counts the scale of --x, for --multiverse, as in --count
    /// params_without_embeddings; repeatable
    #[arg(long, value_name = "COLUMN", requires = "multiverse", requires = "file")]
    pub count: Vec<String>,
}

/// What was asked for; printed after the fits, and in JSON beside them.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<Vec<Sharing>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtest: Option<Backtest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multiverse: Option<Multiverse>,
}

impl Sections {
    pub fn of(
        &self,
        study: &Study,
        axis: Axis,
        analysis: &Analysis,
        settings: &Settings,
        law_of_trial: LawOfTrial,
    ) -> Result<Comparison> {
        let (points, settings) = (study.points(), &study.settings(settings));
        let mut comparison = Comparison::default();
        if self.backtest || self.multiverse {
            curves_only(analysis)?;
        }
        if self.shared {
            comparison.shared =
                Some(fit::in_pool(settings.threads, || fit::compare::shared::test(points, &analysis.fits, settings))??);
        }
        if self.backtest {
            let found = fit::compare::backtest::backtest(points, axis, analysis, settings, law_of_trial)?;
            comparison.backtest = Some(found);
        }
        if self.multiverse {
            let mut all = vec![Convention { name: "as given".into(), points: points.to_vec() }];
            all.extend(study.conventions(axis, &self.count)?);
            comparison.multiverse = Some(fit::compare::multiverse::multiverse(&all, axis, analysis, settings)?);
        }
        Ok(comparison)
    }
}

fn curves_only(analysis: &Analysis) -> Result<()> {
    match analysis.fits.first() {
        Some(fit) if fit.law.domain() != Domain::Curve => Err(Error::bad_input(format!(
            "--law {}: back-test and multiverse compare curves over one scale",
            fit.law.name()
        ))
        .hint("fit a curve, as --law power-floor")),
        _ => Ok(()),
    }
}

impl Comparison {
    /// As a person reads it: a part for each section, each after an empty line.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.shared.as_deref().map(shared_text));
        parts.extend(self.backtest.as_ref().map(backtest_text));
        parts.extend(self.multiverse.as_ref().map(multiverse_text));
        parts.into_iter().map(|part| format!("\n{part}")).collect()
    }
}

/// Rows of multipliers beyond which only those against the curve with the lowest loss are printed.
const MOST_MULTIPLIERS: usize = 30;

/// What each curve needs to equal each other at three scales, or of many the best; empty for a single curve.
pub fn multiplier_table(multipliers: &[Multiplier], axis: Axis) -> String {
    if multipliers.is_empty() {
        return String::new();
    }
    let row = |multiplier: &Multiplier| {
        let last = multiplier.curve.len().saturating_sub(1);
        let mut row = vec![multiplier.who.clone(), multiplier.of.clone()];
        row.extend([0, last / 2, last].iter().filter_map(|i| multiplier.curve.get(*i)).map(times));
        row
    };
    let lowest = |multiplier: &&Multiplier| multiplier.curve.last().map_or(f64::INFINITY, |at| at.loss);
    let best = multipliers.iter().min_by(|a, b| lowest(a).total_cmp(&lowest(b))).map(|best| &best.of);
    let few = multipliers.len() <= MOST_MULTIPLIERS;
    let shown: Vec<&Multiplier> = multipliers.iter().filter(|other| few || Some(&other.of) == best).collect();
    let which = match multipliers.len() - shown.len() {
        0 => String::new(),
        more => format!("; against the lowest, --json has {more} pairs more"),
    };
    let header = ["curve", "equals", "at its smallest", "in the middle", "at its largest"];
    format!(
        "with how many times the {axis} (* beyond the data{which}):\n{}\n",
        table(&header, &header, shown.into_iter().map(row))
    )
}

fn times(at: &At) -> String {
    let multiple = |times: f64| match times {
        0.0 => "0".into(),
        _ if times.is_infinite() => "never".into(),
        _ if times >= 100.0 => si(times.round()),
        _ if times >= 0.01 => format!("{times:.2}"),
        _ => format!("{times:.1e}"),
    };
    let interval = at.interval.map_or(String::new(), |ends| match (ends.low, ends.high) {
        (low, _) if low.is_infinite() => String::new(),
        (low, high) => format!(" ({} to {})", multiple(low), multiple(high)),
    });
    let star = if at.inside_data { "" } else { " *" };
    format!("{}: {}{interval}{star}", si(at.x), multiple(at.times))
}

fn shared_text(sets: &[Sharing]) -> String {
    let row = |set: &Sharing, test: &Test| {
        let value = |name: &&'static str| match (test.values.get(name), test.intervals.get(name)) {
            (Some(value), Some(interval)) => {
                format!("{name} {value:.4} ({:.4} to {:.4})", interval.low, interval.high)
            }
            (Some(value), None) => format!("{name} {value:.4}"),
            _ => (*name).into(),
        };
        let verdict = match test.p_value {
            None => "no resamples, no test",
            Some(p) if p < SIGNIFICANCE => "separate",
            Some(_) => "not told apart",
        };
        vec![
            set.curves.join(", "),
            test.shared.iter().map(value).collect::<Vec<_>>().join(", "),
            format!("{:.3}", test.statistic),
            test.p_value.map_or("-".into(), |p| format!("{p:.3}")),
            verdict.into(),
        ]
    };
    let rows = sets.iter().flat_map(|set| set.tests.iter().map(move |test| row(set, test)));
    let header = ["curves", "if they share", "F", "p", "verdict"];
    let mut text = format!("shared or separate:\n{}\n", table(&header, &["curves", "if they share", "verdict"], rows));
    for set in sets {
        let Some(pooled) = &set.pooled else { continue };
        for crossover in &pooled.crossovers {
            let shared = pooled.shared.join(" and ");
            text += &format!("with a shared {shared}, {} against {}: {crossover}\n", crossover.a, crossover.b);
        }
    }
    text
}

fn backtest_text(backtest: &Backtest) -> String {
    let row = |decision: &Decision| {
        vec![
            format!("{}, {}", decision.a, decision.b),
            decision.hidden.to_string(),
            si(decision.seen_to),
            si(decision.at),
            match decision.confidence {
                Some(share) => format!("{} ({:.0}%)", decision.predicted, 100.0 * share),
                None => decision.predicted.clone(),
            },
            decision.measured.clone(),
            percent(decision.predicted_gap.exp_m1()),
            percent(decision.measured_gap.exp_m1()),
            match outcome(decision) {
                Outcome::Right => "right".into(),
                Outcome::Wrong => "wrong".into(),
                Outcome::Undecided => "undecided".into(),
            },
        ]
    };
    let header = ["curves", "hidden", "seen to", "at", "predicted", "measured", "predicted gap", "measured gap", ""];
    let all = backtest.decisions.len() <= MOST_ROWS;
    let shown = |decision: &&Decision| all || outcome(decision) == Outcome::Wrong;
    let rows = backtest.decisions.iter().filter(shown).take(MOST_ROWS).map(row);
    let shown = table(&header, &["curves", "predicted", "measured", ""], rows);
    let which = if all { "" } else { "; the wrong ones (--json lists all)" };
    let mut text = format!("back-test: who leads at scales that were hidden{which}\n{shown}\n");
    text += &paragraph(&counts(backtest), "", "  ");
    if backtest.law_chosen_anew {
        let laws = backtest.trials.iter().map(|trial| format!("{} with {} hidden", trial.law.name(), trial.hidden));
        let laws = laws.collect::<Vec<_>>().join(", ");
        text += &paragraph(&format!("laws, each chosen from the scales seen: {laws}"), "", "  ");
    }
    for predicted in backtest.crossovers.iter().filter(|pair| !pair.found.is_empty() || !pair.same_count) {
        text += &predicted_text(predicted);
    }
    text
}

/// Without resamples there is no band that could leave a decision open.
fn outcome(decision: &Decision) -> Outcome {
    decision.outcome.unwrap_or(if decision.right { Outcome::Right } else { Outcome::Wrong })
}

fn counts(backtest: &Backtest) -> String {
    let costs = |mean: Option<f64>, worst: Option<f64>| match (mean, worst) {
        (Some(mean), Some(worst)) => {
            format!("; a wrong one costs {} of loss, at most {}", percent(mean), percent(worst))
        }
        _ => String::new(),
    };
    let count = backtest.decisions.len();
    let Some(decided) = &backtest.decided else {
        return format!(
            "{} of {count} decisions wrong{}; no resamples, so none is left undecided",
            backtest.wrong,
            costs(backtest.mean_cost, backtest.worst_cost)
        );
    };
    let mut text = format!(
        "{} of {} decisions wrong{}",
        decided.wrong,
        decided.right + decided.wrong,
        costs(decided.mean_cost, decided.worst_cost)
    );
    if decided.undecided > 0 {
        let sure = 100.0 * decided.level;
        text += &format!("; {} undecided: the {sure:.0}% band does not tell the curves apart there", decided.undecided);
        text += &format!(" (the fitted curves alone are wrong in {} of all {count})", backtest.wrong);
    }
    text
}

fn predicted_text(predicted: &Predicted) -> String {
    let Predicted { a, b, hidden, found, .. } = predicted;
    let list = |values: Vec<String>| if values.is_empty() { "none".into() } else { values.join(", ") };
    let roots = list(predicted.roots.iter().map(ToString::to_string).collect());
    let found = list(found.iter().map(|at| si(*at)).collect());
    let (seen, all) = (kind(predicted.conclusion), kind(predicted.conclusion_of_all));
    let off = predicted.off_by.map_or(String::new(), |factor| format!(", off by a factor of {factor:.2}"));
    let held = match predicted.held {
        Some(true) => ", inside the interval",
        Some(false) => ", outside the interval",
        None => "",
    };
    let text = format!(
        "{a} against {b}, {hidden} hidden: {seen}; predicted {roots}; with all scales {all}, {found}{off}{held}"
    );
    paragraph(&text, "", "  ")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Crosses => "they cross",
        Kind::LeadsThroughout => "one leads throughout",
        Kind::LeadsInPart => "one leads in part",
        Kind::NotToldApart => "not told apart",
        Kind::NoOverlap => "no scale in common",
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn multiverse_text(multiverse: &Multiverse) -> String {
    let count = multiverse.universes.len();
    let mut text = format!("multiverse: {count} combinations of choices\n");
    let header = ["choice", "option", "fitted", "same outcome", "same fit", "low", "high", "crossover"];
    let cells = |choice: &str, option: &str, agreement: &Agreement| {
        let share = |share: f64| match agreement.universes {
            0 => "-".into(),
            _ => format!("{:.0}%", 100.0 * share),
        };
        let range =
            agreement.crossover.map(|[low, middle, high]| format!("{} ({} to {})", si(middle), si(low), si(high)));
        vec![
            choice.to_owned(),
            option.to_owned(),
            match agreement.universes {
                0 => "not fitted".into(),
                fitted => format!("{fitted}/{}", fitted + agreement.unfitted),
            },
            agreement.outcome.map_or("-".into(), share),
            share(agreement.same),
            share(agreement.leads_low),
            share(agreement.leads_high),
            range.unwrap_or("-".into()),
        ]
    };
    if multiverse.pairs.len() > MOST_PAIRS {
        let row = |pair: &Pair| cells(&format!("{}, {}", pair.a, pair.b), &conclusion(pair), &pair.overall);
        let header = [&["curves", "conclusion"], &header[2..]].concat();
        let shown = table(&header, &["curves", "conclusion"], multiverse.pairs.iter().map(row));
        return text + &format!("{shown}\n--json has the options of each pair\n") + &left_out(multiverse);
    }
    for pair in &multiverse.pairs {
        text += &format!("{} against {}: {}\n", pair.a, pair.b, conclusion(pair));
        let all = std::iter::once(cells("all", "", &pair.overall));
        let each = pair.options.iter().map(|option| cells(option.choice, &option.option, &option.agreement));
        text += &format!("{}\n", table(&header, &["choice", "option"], all.chain(each)));
    }
    text + &left_out(multiverse)
}

/// A line for each option that does not apply.
fn left_out(multiverse: &Multiverse) -> String {
    let line = |left: &NotApplied| paragraph(&format!("left out: {}: {}", left.option, left.reason), "", "  ");
    multiverse.not_applied.iter().map(line).collect()
}

/// The outcome of the universe as asked, and what its fitted curves do.
fn conclusion(pair: &Pair) -> String {
    let Some(outcome) = &pair.conclusion.outcome else { return fitted(pair) };
    let leads = outcome.leads.join(", then ");
    match outcome.kind {
        Kind::Crosses => format!("crosses: {leads} leads"),
        Kind::LeadsThroughout => format!("{leads} leads throughout"),
        Kind::LeadsInPart => format!("{leads} leads in part"),
        Kind::NotToldApart => "not told apart".into(),
        Kind::NoOverlap => "no scale in common".into(),
    }
}

fn fitted(pair: &Pair) -> String {
    let crossings = match pair.conclusion.crossovers.len() {
        0 => "no crossing".into(),
        1 => "one crossing".into(),
        count => format!("{count} crossings"),
    };
    let (low, high) = (&pair.conclusion.leads_low, &pair.conclusion.leads_high);
    format!("{low} leads at the smallest scale, {high} at the largest, {crossings} between")
}
