//! The store against its promises: exactly once, rebuilt equal, one writer, honest points.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::sample::plan;
use super::*;
use crate::event::{Event, EventLog, Outcome};
use crate::point::Axis;

fn start(attempt: u32) -> Event {
    Event::Start { attempt, time: 1.0, host: "here".into(), device: "cpu".into(), pid: 7, from_step: 0 }
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
    write(dir.path(), id, &[metrics(20, &[("val_loss", 0.5)]), end(1, Outcome::Done)]);
    let ingested = store.ingest().unwrap();
    let lines: Vec<u64> = ingested.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!((ingested.lines, lines), (6, vec![2, 3, 4]));
    assert_eq!(ingested.skipped[0].file, store.reader().run_folder(id).join(EventLog::FILE));
    assert_eq!(store.reader().skipped_lines(id).unwrap(), 3);
    assert_eq!(store.reader().summary("small").unwrap().skipped_lines, 3);
    assert_eq!(store.reader().run(id).unwrap().state, State::Done);
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
    write(dir.path(), id, &[start(2), metrics(20, &[("val_loss", 0.0625)]), end(2, Outcome::Done)]);
    let ingested = store.ingest().unwrap();
    assert!(ingested.skipped[0].reason.contains("the log was changed"), "{:?}", ingested.skipped);
    assert_eq!(store.reader().measured(id).unwrap()["val_loss"], [(5, 0.25), (10, 0.125), (20, 0.0625)]);
    assert_eq!(store.reader().run(id).unwrap().state, State::Done);
}

#[test]
fn a_log_of_several_transactions_and_a_very_long_line_are_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
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
    let (store, rebuilt) = Store::rebuild(dir.path()).unwrap();
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
    assert_eq!(found.choices[0].tuned, BTreeMap::from([("lr".to_string(), json!(1e-3))]));
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
    Store::rebuild(dir.path()).unwrap();
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let plan = plan(&["convnet"], &[100], &[1e-3], &[0]);
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
