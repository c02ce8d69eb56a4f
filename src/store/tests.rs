//! The store against its promises: exactly once, rebuilt equal, one writer, honest points.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::sample::plan;
use super::*;
use crate::event::{Event, EventLog, Outcome};
use crate::point::Axis;
use crate::run::Settings;

fn start(attempt: u32) -> Event {
    let (host, device) = ("here".into(), "cpu".into());
    Event::Start { attempt, time: 1.0, host, device, pid: 7, from_step: 0, precision: None }
}

fn end(attempt: u32, outcome: Outcome) -> Event {
    Event::End { attempt, time: 2.0, seconds: 1.0, examples_per_second: 320.0, outcome }
}

fn metrics(step: u64, values: &[(&str, f64)]) -> Event {
    Event::Metrics { step, values: values.iter().map(|(name, value)| (name.to_string(), *value)).collect() }
}

fn write(dir: &Path, run: &str, events: &[Event]) {
    let mut log = EventLog::open(&dir.join(run)).unwrap();
    events.iter().for_each(|event| log.append(event).unwrap());
}

/// A run that ended with these losses.
fn finish(dir: &Path, run: &str, val_loss: f64, test_loss: f64) {
    let values = [("val_loss", val_loss), ("test_loss", test_loss)];
    write(dir, run, &[start(1), metrics(10, &[("val_loss", 9.0)]), metrics(20, &values), end(1, Outcome::Done)]);
}

/// One run of so many steps.
fn long(steps: u64) -> crate::plan::Plan {
    let mut plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    plan.runs[0].config.steps = steps;
    plan.runs[0].id = plan.runs[0].config.id();
    plan
}

/// The end of an attempt that was done.
fn finish_last(dir: &Path, run: &str, attempt: u32, loss: f64) {
    write(dir, run, &[metrics(20, &[("val_loss", loss), ("test_loss", loss)]), end(attempt, Outcome::Done)]);
}

fn export(reader: &Reader, format: Format) -> String {
    let mut bytes = Vec::new();
    reader.export("small", Export { format, times: false }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn append(path: &Path, bytes: &[u8]) {
    std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_line_is_taken_once_and_a_half_written_one_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    let line = serde_json::to_vec(&metrics(5, &[("val_loss", 0.25), ("val_error", 0.5)])).unwrap();
    let log = dir.path().join(id).join(EventLog::FILE);
    append(&log, &line[..20]);
    assert_eq!(store.ingest().unwrap().lines, 0);
    append(&log, &line[20..]);
    assert_eq!(store.ingest().unwrap().lines, 0);
    append(&log, b"\n");
    assert_eq!(store.ingest().unwrap().rows, 2);
    assert_eq!(store.ingest().unwrap().lines, 0);
    // A resumed run says step 5 again: the first value stays.
    append(&log, b"{\"event\":\"metrics\",\"step\":5,\"values\":{\"val_loss\":7.0}}\n");
    store.ingest().unwrap();
    let measured = store.reader().measured(id).unwrap();
    assert_eq!(measured["val_loss"], [(5, 0.25)]);
    assert_eq!(measured["val_error"], [(5, 0.5)]);
}

#[test]
fn lines_that_are_no_events_are_counted_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    let log = dir.path().join(id).join(EventLog::FILE);
    write(dir.path(), id, &[start(1)]);
    append(&log, b"\0\0\0\0\n{\"event\":\"metrics\",\"step\":-1,\"values\":{}}\n{\"event\":\"metrics\",\"step\":1,\"values\":{\"a\":1e999}}\n");
    finish_last(dir.path(), id, 1, 0.5);
    let ingested = store.ingest().unwrap();
    let lines: Vec<u64> = ingested.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!((ingested.lines, lines), (6, vec![2, 3, 4]));
    assert_eq!(ingested.skipped[0].file, store.reader().run_folder(id).join(EventLog::FILE));
    assert_eq!(store.reader().bad_lines(id).unwrap().skipped, 3);
    assert_eq!(store.reader().summary("small").unwrap().bad_lines.skipped, 3);
    assert_eq!(store.reader().run(id).unwrap().state, State::Done);
}

/// Nothing of it is kept, and what follows it is read; one that has no end yet waits.
#[test]
fn a_line_that_is_longer_than_an_event_is_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    let log = dir.path().join(id).join(EventLog::FILE);
    write(dir.path(), id, &[metrics(5, &[("val_loss", 1.0)])]);
    append(&log, &vec![b'x'; 40 << 20]);
    let ingested = store.ingest().unwrap();
    assert_eq!((ingested.rows, ingested.skipped.len()), (1, 0));
    append(&log, b"\n");
    write(dir.path(), id, &[metrics(7, &[("val_loss", 0.5)])]);
    let ingested = store.ingest().unwrap();
    assert_eq!((ingested.rows, ingested.lines, ingested.skipped.len()), (1, 2, 1));
    assert_eq!(ingested.skipped[0].line, 2);
    assert!(ingested.skipped[0].reason.contains("a line of 40 MiB"), "{:?}", ingested.skipped);
    assert_eq!((store.ingest().unwrap().lines, store.reader().bad_lines(id).unwrap().skipped), (0, 1));
}

#[test]
fn a_shortened_log_is_told_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    write(dir.path(), id, &[start(1), metrics(5, &[("val_loss", 0.25)]), metrics(10, &[("val_loss", 0.125)])]);
    store.ingest().unwrap();
    let log = dir.path().join(id).join(EventLog::FILE);
    std::fs::write(&log, "").unwrap();
    write(dir.path(), id, &[start(2)]);
    finish_last(dir.path(), id, 2, 0.0625);
    let ingested = store.ingest().unwrap();
    assert!(ingested.skipped[0].reason.contains("the log was changed"), "{:?}", ingested.skipped);
    assert_eq!(store.reader().measured(id).unwrap()["val_loss"], [(5, 0.25), (10, 0.125), (20, 0.0625)]);
    assert_eq!(store.reader().run(id).unwrap().state, State::Done);
}

#[test]
fn a_log_of_several_transactions_and_a_very_long_line_are_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = long(600_000);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    let long = Outcome::Failed { reason: "x".repeat(3 << 20) };
    write(dir.path(), id, &[start(1), end(1, long), start(2)]);
    let lines: Vec<u8> = (0..600_000u64)
        .flat_map(|step| {
            format!("{{\"event\":\"metrics\",\"step\":{step},\"values\":{{\"train_loss\":{step}.5}}}}\n").into_bytes()
        })
        .collect();
    assert!(lines.len() > 32 << 20);
    append(&dir.path().join(id).join(EventLog::FILE), &lines);
    let ingested = store.ingest().unwrap();
    assert_eq!((ingested.rows, ingested.skipped.len()), (600_000, 0));
    let measured = store.reader().measured(id).unwrap();
    assert!(measured["train_loss"].iter().enumerate().all(|(at, &value)| value == (at as u64, at as f64 + 0.5)));
    assert_eq!(store.reader().attempts(id).unwrap().len(), 2);
}

#[test]
fn a_rebuilt_database_exports_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet", "vit"], &[100, 1000], &[1e-3, 3e-3], &[0, 1]);
    store.register(&plan).unwrap();
    for (at, run) in plan.runs.iter().enumerate().skip(2) {
        finish(dir.path(), &run.id, 1.0 / (at as f64 + 1.0), 1.1 / (at as f64 + 1.0));
    }
    write(dir.path(), &plan.runs[0].id, &[start(1), end(1, Outcome::Diverged { step: 3 })]);
    store.ingest().unwrap();
    let before = [export(store.reader(), Format::Csv), export(store.reader(), Format::Json)];
    let summary = store.reader().summary("small").unwrap();
    let created = store.reader().sweep("small").unwrap().created;
    drop(store);
    std::fs::remove_file(dir.path().join("crossover.db")).unwrap();
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert_eq!((rebuilt.sweeps, rebuilt.runs, rebuilt.damaged.len()), (1, 16, 0));
    assert_eq!([export(store.reader(), Format::Csv), export(store.reader(), Format::Json)], before);
    assert_eq!(store.reader().summary("small").unwrap(), summary);
    assert_eq!(store.reader().sweep("small").unwrap().created, created);
    assert_eq!(before[0].lines().count(), 1 + 2 + 14 * 3);
}

#[test]
fn registering_again_keeps_results_and_follows_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let first = plan(&["convnet"], &[100, 1000], &[1e-3], &[0]);
    store.register(&first).unwrap();
    finish(dir.path(), &first.runs[0].id, 0.5, 0.6);
    store.ingest().unwrap();
    let second = plan(&["convnet", "vit"], &[100], &[1e-3], &[0]);
    store.register(&second).unwrap();
    let runs = store.reader().runs("small").unwrap();
    let ids: Vec<_> = runs.iter().map(|run| &run.id).collect();
    assert_eq!(ids, second.runs.iter().map(|run| &run.id).collect::<Vec<_>>());
    assert_eq!([&runs[0].state, &runs[1].state], [&State::Done, &State::ToDo]);
    assert_eq!(store.reader().run(&first.runs[1].id[..8]).unwrap().state, State::ToDo);
}

#[test]
fn tuned_values_are_chosen_on_validation_over_seeds_and_edges_are_flagged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-4, 1e-3, 1e-2], &[0, 1]);
    store.register(&plan).unwrap();
    // 1e-3 has the lowest mean validation loss (0.55); 1e-2 has the lowest single one, and the lowest test loss.
    let losses = [(0.9, 1.0), (0.9, 1.0), (0.5, 2.0), (0.6, 2.1), (0.1, 0.1), (1.2, 0.1)];
    for (run, (val, test)) in plan.runs.iter().zip(losses) {
        finish(dir.path(), &run.id, val, test);
    }
    store.ingest().unwrap();
    let found = store.reader().points("small", "test_loss", None, Sizes::Best).unwrap();
    let values: Vec<_> = found.points.iter().map(|point| (point.source.as_str(), point.value, point.seed)).collect();
    assert_eq!(values, [(plan.runs[2].id.as_str(), 2.0, Some(0)), (plan.runs[3].id.as_str(), 2.1, Some(1))]);
    assert_eq!(found.points[0].data, Some(100.0));
    assert_eq!(found.points[0].compute, Some(192_000.0));
    assert_eq!((found.choices[0].val_loss, found.choices[0].at_edge.len()), (0.55, 0));
    assert_eq!(found.choices[0].tuned, Settings::from([("lr".to_string(), json!(1e-3))]));
    assert!(found.left_out.is_empty());
    let unknown = store.reader().points("small", "tset_loss", None, Sizes::Best).unwrap_err();
    assert!(unknown.hint.unwrap().contains("'test_loss'"));
}

#[test]
fn an_edge_is_flagged_a_diverged_seed_is_no_luck_and_unfinished_cells_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet", "vit"], &[100], &[1e-3, 1e-2], &[0, 1]);
    store.register(&plan).unwrap();
    finish(dir.path(), &plan.runs[0].id, 0.5, 0.5);
    finish(dir.path(), &plan.runs[1].id, 0.5, 0.5);
    finish(dir.path(), &plan.runs[2].id, 0.1, 0.1);
    write(dir.path(), &plan.runs[3].id, &[start(1), end(1, Outcome::Diverged { step: 4 })]);
    finish(dir.path(), &plan.runs[4].id, 0.1, 0.1);
    store.ingest().unwrap();
    let found = store.reader().points("small", "test_loss", None, Sizes::Best).unwrap();
    assert_eq!(found.choices.len(), 1);
    assert_eq!(found.choices[0].tuned["lr"], json!(1e-3));
    assert_eq!(found.choices[0].at_edge, ["lr"]);
    assert_eq!(found.points.len(), 2);
    assert_eq!(found.left_out[0].why.to_string(), "3 of its 4 runs have not ended");
}

/// Two sizes of one curve at two scales: the small one is better on 100 examples, the large one on 1000.
fn two_sizes() -> crate::plan::Plan {
    let mut all = plan(&["vit"], &[100, 1000], &[1e-3], &[0, 1]);
    let mut large = all.clone();
    for run in &mut large.runs {
        run.config.model.settings.insert("width".into(), json!(16));
        (run.costs.params, run.cell, run.id) = (400, format!("{} large", run.cell), run.config.id());
    }
    all.runs.extend(large.runs);
    all
}

#[test]
fn the_best_size_at_a_scale_says_which_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = two_sizes();
    store.register(&plan).unwrap();
    for (run, val) in plan.runs.iter().zip([0.5, 0.5, 0.4, 0.4, 0.6, 0.6, 0.3, 0.3]) {
        finish(dir.path(), &run.id, val, val);
    }
    store.ingest().unwrap();
    let points = |axis, sizes| store.reader().points("small", "test_loss", axis, sizes).unwrap();
    let best = points(Some(Axis::Data), Sizes::Best);
    let widths: Vec<_> = best.points.iter().map(|point| point.made.clone().unwrap().size["width"].clone()).collect();
    assert_eq!(widths, [8, 8, 16, 16]);
    let made = best.points[0].made.clone().unwrap();
    assert_eq!((made.best_of, made.steps, made.tuned.len(), best.outshone.len()), (2, Some(20), 0, 2));
    let contest = Contest { scales: 2, most: 2, sizes: true, budgets: false, examples: false };
    assert_eq!((best.contest, best.curves), (contest, vec!["vit".to_string()]));
    let each = points(Some(Axis::Data), Sizes::Each);
    assert_eq!((each.curves, each.points.len()), (vec!["vit 100".to_string(), "vit 400".to_string()], 8));
    assert!(each.outshone.is_empty() && each.points.iter().all(|point| point.made.clone().unwrap().best_of == 1));
    assert_eq!(points(None, Sizes::Best).points.len(), 8);
}

/// Seeds lie at their mean; a size that another one beats in no more time is left out.
#[test]
fn seconds_are_a_scale_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = two_sizes();
    store.register(&plan).unwrap();
    let took = [(0.5, 0.9), (0.5, 1.1), (0.4, 2.0), (0.4, 2.0), (0.6, 3.0), (0.6, 3.0), (0.3, 4.0), (0.3, 4.0)];
    for (run, (loss, seconds)) in plan.runs.iter().zip(took) {
        let (values, outcome) = ([("val_loss", loss), ("test_loss", loss)], Outcome::Done);
        let end = Event::End { attempt: 1, time: 2.0, seconds, examples_per_second: 320.0 / seconds, outcome };
        write(dir.path(), &run.id, &[start(1), metrics(20, &values), end]);
    }
    store.ingest().unwrap();
    let found = store.reader().points("small", "test_loss", Some(Axis::Seconds), Sizes::Best).unwrap();
    let seconds: Vec<f64> = found.points.iter().filter_map(|point| point.seconds).collect();
    assert!(
        seconds.iter().zip([1.0, 1.0, 2.0, 2.0, 4.0, 4.0]).all(|(found, mean)| (found - mean).abs() < 0.02),
        "{seconds:?}"
    );
    assert_eq!((seconds.len(), seconds[0] == seconds[1], found.outshone.len()), (6, true, 1));
    assert!(
        store.reader().points("small", "test_loss", Some(Axis::Data), Sizes::Best).unwrap().points[0].seconds.is_none()
    );
}

#[test]
fn sizes_with_as_many_parameters_are_named_by_their_shape() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut plan = two_sizes();
    plan.runs.iter_mut().for_each(|run| run.costs.params = 100);
    store.register(&plan).unwrap();
    plan.runs.iter().for_each(|run| finish(dir.path(), &run.id, 0.5, 0.5));
    store.ingest().unwrap();
    let each = store.reader().points("small", "test_loss", Some(Axis::Data), Sizes::Each).unwrap();
    assert_eq!(each.curves, ["vit width=8", "vit width=16"]);
}

#[test]
fn an_export_says_which_runs_stand_for_their_curve() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = two_sizes();
    store.register(&plan).unwrap();
    for (run, val) in plan.runs.iter().zip([0.5, 0.5, 0.4, 0.4, 0.6, 0.6, 0.3, 0.3]) {
        finish(dir.path(), &run.id, val, val);
    }
    store.ingest().unwrap();
    let csv = export(store.reader(), Format::Csv);
    assert!(csv.lines().next().unwrap().ends_with(",cell,step,metric,value,curve,chosen,chosen_over,width"), "{csv}");
    let last = |run: usize| {
        let line = csv.lines().rfind(|line| line.starts_with(&plan.runs[run].id)).unwrap();
        line.split(',').skip(20).collect::<Vec<_>>().join(",")
    };
    // All cost the same, so that over compute there is one scale.
    assert_eq!(last(0), "vit,true,data,8");
    assert_eq!(last(2), "vit,true,params,8");
    assert_eq!(last(4), "vit,true,,16");
    assert_eq!(last(6), "vit,true,params data compute,16");
    let json: serde_json::Value = serde_json::from_str(&export(store.reader(), Format::Json)).unwrap();
    let run = &json["runs"][6];
    assert_eq!((&run["label"], &run["curve"], &run["size"]), (&json!("vit"), &json!("vit"), &json!({"width": 16})));
    assert_eq!((&run["chosen"], &run["chosen_over"]), (&json!(true), &json!(["params", "data", "compute"])));
}

#[test]
fn an_export_calls_nothing_chosen_before_its_cell_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["vit"], &[100], &[1e-3, 1e-2], &[0]);
    store.register(&plan).unwrap();
    finish(dir.path(), &plan.runs[0].id, 0.5, 0.5);
    store.ingest().unwrap();
    assert!(export(store.reader(), Format::Json).contains("\"chosen\": null"));
    finish(dir.path(), &plan.runs[1].id, 0.4, 0.4);
    store.ingest().unwrap();
    let json: serde_json::Value = serde_json::from_str(&export(store.reader(), Format::Json)).unwrap();
    assert_eq!((&json["runs"][0]["chosen"], &json["runs"][1]["chosen"]), (&json!(false), &json!(true)));
}

/// Whole steps leave sizes a little apart on one FLOP budget: the best of them stands for the curve there.
#[test]
fn sizes_that_nearly_spend_a_budget_meet_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut plan = plan(&["convnet"], &[100, 101, 102, 103], &[1e-3], &[0]);
    for (run, (flops, params)) in plan.runs.iter_mut().zip([(1000, 10), (980, 20), (900, 10), (947, 20)]) {
        (run.train_flops, run.costs.params) = (crate::units::Flops(flops), params);
    }
    store.register(&plan).unwrap();
    for (run, loss) in plan.runs.iter().zip([0.5, 0.4, 0.6, 0.7]) {
        finish(dir.path(), &run.id, loss, loss);
    }
    store.ingest().unwrap();
    let found = store.reader().points("small", "test_loss", Some(Axis::Compute), Sizes::Best).unwrap();
    // From 900 to 947 is one budget, 980 and 1000 the next.
    let points: Vec<_> = found.points.iter().map(|point| (point.compute, point.value)).collect();
    assert_eq!(points, [(Some(980.0), 0.4), (Some(900.0), 0.6)]);
    let data = store.reader().points("small", "test_loss", Some(Axis::Data), Sizes::Best).unwrap();
    assert_eq!(data.points.len(), 4, "numbers of examples are what they are");
}

/// A budget that ends before all examples came once has fewer data.
#[test]
fn the_data_of_a_run_are_what_it_saw() {
    let config = |examples: u64| plan(&["convnet"], &[examples], &[1e-3], &[0]).runs.remove(0).config;
    assert_eq!((config(300).data(), config(1000).data(), config(1000).seen()), (300, 20 * 16, 20 * 16));
}

/// Two cells of one label at one scale: data sets of 100 and of 300 examples at equal parameters.
#[test]
fn the_cell_with_the_lowest_validation_loss_stands_for_its_scale() {
    let stands = |losses: [Option<(f64, f64)>; 4]| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let plan = plan(&["convnet"], &[100, 300], &[1e-3], &[0, 1]);
        store.register(&plan).unwrap();
        for (run, loss) in plan.runs.iter().zip(losses) {
            match loss {
                Some((val, test)) => finish(dir.path(), &run.id, val, test),
                None => write(dir.path(), &run.id, &[start(1), end(1, Outcome::Diverged { step: 4 })]),
            }
        }
        store.ingest().unwrap();
        let all = store.reader().points("small", "test_loss", Some(Axis::Data), Sizes::Best).unwrap();
        assert_eq!((all.outshone.len(), all.points.len() + all.left_out.len()), (0, 4));
        let found = store.reader().points("small", "test_loss", Some(Axis::Params), Sizes::Best).unwrap();
        assert_eq!(found.outshone.len(), 1);
        let reason = found.outshone[0].why.to_string();
        (found.points.iter().map(|point| point.data.unwrap()).collect::<Vec<f64>>(), reason)
    };
    // The test losses say the contrary, and are not looked at.
    let lower_first = stands([Some((0.4, 0.9)), Some((0.5, 0.9)), Some((0.6, 0.1)), Some((0.5, 0.1))]);
    assert_eq!(lower_first.0, [100.0, 100.0]);
    assert!(lower_first.1.starts_with("convnet, 100 params, 100 examples"), "{}", lower_first.1);
    let lower_last = stands([Some((0.6, 0.1)), Some((0.5, 0.1)), Some((0.4, 0.9)), Some((0.5, 0.9))]);
    assert_eq!(lower_last.0, [300.0, 300.0]);
    assert!(lower_last.1.starts_with("convnet, 100 params, 300 examples"), "{}", lower_last.1);
    // A cell that lost a seed is no lucky one.
    let lost_a_seed = stands([Some((0.1, 0.1)), None, Some((0.6, 0.9)), Some((0.5, 0.9))]);
    assert_eq!(lost_a_seed.0, [300.0, 300.0]);
}

#[test]
fn readers_work_while_a_writer_holds_the_store() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Reader::open(dir.path()).unwrap_err().message.contains("holds no store"));
    let mut store = Store::open(dir.path()).unwrap();
    store.register(&plan(&["convnet"], &[100], &[1e-3], &[0])).unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(refused.message.contains("another crossover writes to"), "{refused}");
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.summary("small").unwrap().counts.to_do, 1);
    assert!(reader.writer().is_some());
    assert!(reader.sweep("smal").unwrap_err().hint.unwrap().contains("'small'"));
}

#[test]
fn a_newer_or_a_damaged_database_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.reader.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    for error in [Store::open(dir.path()).unwrap_err(), Reader::open(dir.path()).unwrap_err()] {
        assert!(error.message.contains("newer crossover (schema 99"), "{error}");
    }
    std::fs::write(dir.path().join("crossover.db"), "this is not a database, whatever its name says").unwrap();
    let damaged = Store::open(dir.path()).unwrap_err();
    assert!(damaged.message.contains("damaged"), "{damaged}");
    assert!(damaged.hint.unwrap().contains("--rebuild"));
    Store::rebuild(dir.path(), false).unwrap();
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = long(20_000);
    store.register(&plan).unwrap();
    // SQLite's own limit gives the error code of a full disk.
    store.reader.connection.pragma_update(None, "max_page_count", 20).unwrap();
    let steps: Vec<Event> = (0..20_000).map(|step| metrics(step, &[("val_loss", 0.5)])).collect();
    write(dir.path(), &plan.runs[0].id, &steps);
    let full = store.ingest().unwrap_err();
    assert!(full.message.contains("the disk is full"), "{full}");
    store.reader.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert_eq!(store.ingest().unwrap().rows, 20_000);
}

/// Lines that a power cut took from under a run that then ended: it is not done, and says which step is missing.
#[test]
fn a_run_without_the_metrics_of_an_evaluation_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
    for run in &mut plan.runs {
        run.config.train.evals = 3;
        run.id = run.config.id();
    }
    store.register(&plan).unwrap();
    let [lost, whole] = [&plan.runs[0], &plan.runs[1]];
    let steps = lost.config.evaluations();
    assert_eq!(steps, [3, 7, 20]);
    let losses = [("val_loss", 0.5), ("test_loss", 0.5)];
    // The test split is measured at the end; the first release measured it every time.
    write(dir.path(), &whole.id, &[start(1), metrics(3, &losses), metrics(7, &losses[..1])]);
    finish_last(dir.path(), &whole.id, 1, 0.25);
    write(dir.path(), &lost.id, &[start(1), metrics(3, &losses), metrics(7, &losses[1..])]);
    finish_last(dir.path(), &lost.id, 1, 0.25);
    store.ingest().unwrap();
    let reason = "the metrics of step 7 are missing: its log lost lines".to_string();
    assert_eq!(store.reader().run(&whole.id).unwrap().state, State::Done);
    assert_eq!(store.reader().run(&lost.id).unwrap().state, State::Failed { reason: reason.clone() });
    assert_eq!(store.reader().attempts(&lost.id).unwrap()[0].outcome, Some(Outcome::Failed { reason }));
    // A rebuilt index says the same, and an attempt that measures the rest makes it done.
    drop(store);
    let (mut store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert!(rebuilt.less.is_none() && matches!(store.reader().run(&lost.id).unwrap().state, State::Failed { .. }));
    write(dir.path(), &lost.id, &[start(2), metrics(7, &losses), end(2, Outcome::Done)]);
    store.ingest().unwrap();
    assert_eq!(store.reader().run(&lost.id).unwrap().state, State::Done);
}

#[test]
fn repeated_lines_and_impossible_ones_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let id = &plan.runs[0].id;
    let said = [start(1), metrics(5, &[("val_loss", 0.25)]), end(1, Outcome::Stopped { step: 5 })];
    write(dir.path(), id, &said);
    write(dir.path(), id, &said);
    write(dir.path(), id, &[start(u32::MAX), metrics(21, &[]), end(2, Outcome::Stopped { step: 1 << 62 })]);
    let beyond = r#"{"event":"start","attempt":4294967296,"time":1,"host":"","device":"","pid":1,"from_step":0}"#;
    append(&dir.path().join(id).join(EventLog::FILE), format!("{beyond}\n").as_bytes());
    let ingested = store.ingest().unwrap();
    assert_eq!((ingested.repeated, ingested.skipped.len()), (3, 4));
    assert!(ingested.skipped[0].reason.contains("attempt 4294967295 is beyond"), "{:?}", ingested.skipped);
    assert!(ingested.skipped[1].reason.contains("step 21 is beyond the 20"), "{:?}", ingested.skipped);
    let run = store.reader().run(id).unwrap();
    assert_eq!((run.state, run.attempts), (State::Stopped { step: 5 }, 1));
    let summary = store.reader().summary("small").unwrap();
    assert_eq!(summary.bad_lines, BadLines { skipped: 4, repeated: 3 });
    assert_eq!(store.reader().bad_lines(id).unwrap(), summary.bad_lines);
}

#[test]
fn a_run_whose_folder_was_deleted_is_to_do_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
    store.register(&plan).unwrap();
    plan.runs.iter().for_each(|run| finish(dir.path(), &run.id, 0.5, 0.6));
    store.ingest().unwrap();
    std::fs::remove_dir_all(dir.path().join(&plan.runs[0].id)).unwrap();
    let summary = store.reader().summary("small").unwrap();
    assert_eq!((summary.deleted, summary.counts.done, summary.counts.to_do), (1, 1, 1));
    let registered = store.register(&plan).unwrap();
    assert_eq!((registered.lost.as_slice(), registered.mended.len()), (&[plan.runs[0].id.clone()][..], 0));
    assert!(registered.told().next().unwrap().contains("its log was deleted"));
    let run = store.reader().run(&plan.runs[0].id).unwrap();
    assert_eq!((run.state, run.attempts), (State::ToDo, 0));
    assert!(store.reader().measured(&run.id).unwrap().is_empty());
    // All of them gone is a copy without its runs, and nothing is thrown away for it.
    finish(dir.path(), &plan.runs[0].id, 0.5, 0.6);
    store.ingest().unwrap();
    plan.runs.iter().for_each(|run| std::fs::remove_dir_all(dir.path().join(&run.id)).unwrap());
    assert!(store.register(&plan).unwrap_err().message.contains("has no folder of a run"));
    assert_eq!(store.reader().measured(&plan.runs[1].id).unwrap()["val_loss"].len(), 2);
}

#[test]
fn a_damaged_record_is_written_again_by_who_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1, 2, 3, 4]);
    store.register(&plan).unwrap();
    let file = |at: usize| dir.path().join(&plan.runs[at].id).join("run.json");
    let whole: Vec<String> = (0..5).map(|at| std::fs::read_to_string(file(at)).unwrap()).collect();
    let damage = || {
        std::fs::write(file(0), "").unwrap();
        std::fs::write(file(1), &whole[1][..100]).unwrap();
        std::fs::write(file(2), whole[2].replace("\"seed\": 2", "\"seed\": 6")).unwrap();
        std::fs::write(file(3), whole[3].replace("\"params\": 100", "\"params\": 101")).unwrap();
        std::fs::write(file(4), &whole[0]).unwrap();
    };
    let mended =
        |when: &str| (0..5).for_each(|at| assert_eq!(std::fs::read_to_string(file(at)).unwrap(), whole[at], "{when}"));
    damage();
    assert_eq!(store.register(&plan).unwrap().mended.len(), 5);
    mended("by a plan");
    damage();
    std::fs::write(dir.path().join("sweeps/small.json"), "{").unwrap();
    drop(store);
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert_eq!((rebuilt.mended.len(), rebuilt.damaged.len(), rebuilt.runs, rebuilt.sweeps), (6, 0, 5, 1));
    mended("by the index");
    drop(store);
    // Nobody knows them: they are named.
    damage();
    std::fs::remove_file(dir.path().join("crossover.db")).unwrap();
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    let damaged: Vec<_> = rebuilt.damaged.iter().map(|damaged| damaged.file.clone()).collect();
    let mut expected: Vec<_> = (0..5).map(file).collect();
    expected.sort();
    let canonical = |path: &Path| path.canonicalize().unwrap();
    assert_eq!(damaged, expected.iter().map(|path| canonical(path)).collect::<Vec<_>>());
    assert_eq!(store.reader().runs("small").unwrap().len(), 0);
}

#[test]
fn an_index_that_held_more_is_kept_and_one_that_cannot_be_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
    store.register(&plan).unwrap();
    plan.runs.iter().for_each(|run| finish(dir.path(), &run.id, 0.5, 0.6));
    store.ingest().unwrap();
    drop(store);
    let log = dir.path().join(&plan.runs[0].id).join(EventLog::FILE);
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    // Whoever reads the old one goes on, and sees the new one next.
    let reader = Reader::open(dir.path()).unwrap();
    reader.connection.execute_batch("BEGIN").unwrap();
    assert_eq!(reader.summary("small").unwrap().counts.done, 2);
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert_eq!(rebuilt.less.as_deref(), Some("3 of 6 values of metrics"));
    assert_eq!(
        (reader.summary("small").unwrap().counts.done, store.reader().summary("small").unwrap().counts.done),
        (2, 1)
    );
    reader.connection.execute_batch("COMMIT").unwrap();
    assert_eq!(reader.summary("small").unwrap().counts.done, 1);
    drop((store, reader));
    let kept = rebuilt.kept.unwrap();
    assert_eq!(kept.file_name().unwrap(), "crossover.db.kept-1");
    let values = |file: &Path| {
        let connection = Connection::open(file).unwrap();
        connection.query_row("SELECT count(*) FROM metrics", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(values(&kept), 6);
    // Garbage with a log beside it.
    let index = dir.path().join("crossover.db");
    let _ = std::fs::remove_file(dir.path().join("crossover.db-wal"));
    std::fs::write(&index, "no database at all, and longer than a header of one hundred bytes ".repeat(9)).unwrap();
    assert!(Store::open(dir.path()).unwrap_err().hint.unwrap().contains("--rebuild"));
    std::fs::write(dir.path().join("crossover.db-wal"), "of no use").unwrap();
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert!(rebuilt.less.is_none() && rebuilt.kept.unwrap().ends_with("crossover.db.kept-2"));
    assert!(dir.path().join("crossover.db.kept-2-wal").exists());
    drop(store);
    assert_eq!(values(&index), 3);
    let left = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains("rebuilding") && !name.contains("keeping")));
}

#[test]
fn an_index_that_is_lost_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    finish(dir.path(), &plan.runs[0].id, 0.5, 0.6);
    store.ingest().unwrap();
    drop(store);
    let index = dir.path().join("crossover.db");
    let told = |how: &str| {
        for error in [Store::open(dir.path()).unwrap_err(), Reader::open(dir.path()).unwrap_err()] {
            assert!(
                error.message.ends_with(how) && error.hint.as_deref().unwrap().contains("ingest --rebuild"),
                "{error}"
            );
        }
        assert!(Reader::exists(dir.path()));
    };
    std::fs::remove_file(&index).unwrap();
    told("crossover.db is not there");
    assert!(!index.exists());
    std::fs::write(&index, "").unwrap();
    told("crossover.db is empty");
    // As a program that does not look makes it.
    drop(schema::create(dir.path(), &index).unwrap());
    told("crossover.db is empty");
    let (store, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert!(rebuilt.kept.is_none() && store.reader().summary("small").unwrap().counts.done == 1);
}

/// So that a finished sweep of thousands is seen to be there without a look at its runs.
#[test]
fn a_plan_is_known_by_its_file_until_either_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
    let has = |store: &Store| store.reader().has(&plan).unwrap();
    assert!(!has(&store));
    store.register(&plan).unwrap();
    assert!(has(&store));
    let mut others = [plan.clone(), plan.clone(), plan.clone()];
    others[0].runs[1].cell = "another".into();
    others[1].source += "# a comment\n";
    others[2].question = None;
    assert!(others.iter().all(|other| !store.reader().has(other).unwrap()));
    let file = dir.path().join("sweeps/small.json");
    let mut bytes = std::fs::read(&file).unwrap();
    // Within the hash at its end, of which a plan knows nothing.
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(!has(&store));
    store.register(&plan).unwrap();
    assert!(has(&store));
    store.rename("small", "wide").unwrap();
    store.rename("wide", "small").unwrap();
    assert!(!has(&store));
    drop(store);
    let (store, _) = Store::rebuild(dir.path(), false).unwrap();
    assert!(has(&store));
}

#[test]
fn a_log_that_is_deleted_alone_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0, 1]);
    store.register(&plan).unwrap();
    plan.runs.iter().for_each(|run| finish(dir.path(), &run.id, 0.5, 0.6));
    store.ingest().unwrap();
    assert!(store.reader().ended_without_log().unwrap().is_empty());
    std::fs::remove_file(dir.path().join(&plan.runs[0].id).join(EventLog::FILE)).unwrap();
    assert_eq!(store.reader().ended_without_log().unwrap(), [plan.runs[0].id.as_str()]);
    // What it said is there still, and nothing is trained again unasked.
    assert_eq!(store.register(&plan).unwrap().standing[&plan.runs[0].id].0, State::Done);
    drop(store);
    let (_, rebuilt) = Store::rebuild(dir.path(), false).unwrap();
    assert!(rebuilt.less.unwrap().contains("1 of 2 attempts") && rebuilt.kept.is_some());
}

/// What the last release left is read as it is, and brought up to date by who may write.
#[test]
fn an_index_of_the_last_release_is_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join("crossover.db")).unwrap();
    old.execute_batch(include_str!("migrations/1-initial.sql")).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1; INSERT INTO sweeps (name, tuned, source, created) VALUES ('a', '[]', '', 1);",
    )
    .unwrap();
    drop(old);
    let summary = |reader: &Reader| reader.summary("a").unwrap().bad_lines;
    assert_eq!(summary(&Reader::open(dir.path()).unwrap()), BadLines::default());
    assert_eq!(summary(Store::open(dir.path()).unwrap().reader()), BadLines::default());
    // Its pages have room for checksums now.
    assert_eq!(std::fs::read(dir.path().join("crossover.db")).unwrap()[20], 8);
}

/// As a killed writer leaves it where the reader may not write: the log beside the index is read too.
#[test]
fn a_log_left_beside_an_index_that_cannot_be_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
    store.register(&plan).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["crossover.db", "crossover.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    std::fs::create_dir(copy.path().join("crossover.db-shm")).unwrap();
    assert_eq!(Reader::open(copy.path()).unwrap().runs("small").unwrap().len(), 1);
}
