mod runs;

use std::io::Write;
use std::path::Path;

use rand_chacha::rand_core::Rng;

use super::*;
use crate::point::Axis;
use crate::random;

const DATA: Scale = Scale::Curve(Axis::Data);
const PARAMS: Scale = Scale::Curve(Axis::Params);
const COMPUTE: Scale = Scale::Curve(Axis::Compute);

fn over(scale: Scale, text: &[u8], asked: &Asked) -> Result<Found> {
    found(&format::table("f.csv", &text.to_vec().into())?, "", asked, scale)
}

fn points(text: &str) -> Result<Vec<Point>> {
    over(DATA, text.as_bytes(), &Asked::default()).map(|found| found.points)
}

fn refusal(scale: Scale, text: &str, asked: &Asked) -> Error {
    over(scale, text.as_bytes(), asked).map(|found| found.notes).unwrap_err()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(meaning, column)| ((*meaning).into(), (*column).into())).collect()
}

#[test]
fn understands_names_aliases_and_delimiters() {
    for text in [
        "arch,params,examples,flops,loss,seed\nvit,10,20,30,1.5,7\n",
        "\u{feff}Model;N;Tokens;C;L;seed\r\nvit;1e1;20.0;30;1.5;7\r\n",
        " group \t Model Size \t D \t compute \t val_loss \t SEED\nvit\t10\t20\t30\t1.5\t7",
    ] {
        let point = &points(text).unwrap()[0];
        assert_eq!(
            (point.curve.as_str(), point.params, point.data, point.compute),
            ("vit", Some(10.0), Some(20.0), Some(30.0))
        );
        assert_eq!((point.value, point.seed, point.source.as_str()), (1.5, Some(7), "f.csv:2"));
    }
}

#[test]
fn flags_name_other_columns() {
    let asked = Asked {
        by: vec!["kind".into()],
        metric: Some("err".into()),
        named: named(&[("params", "size")]),
        ..Asked::default()
    };
    let read = over(DATA, b"kind,size,err,run\nx,3,0.5,r1\nx,4,,r1\n", &asked).unwrap().points;
    assert_eq!((read[0].curve.as_str(), read[0].params, read[0].value), ("x", Some(3.0), 0.5));
    assert_eq!(read[0].source, "f.csv run r1");
    assert!(read[1].value.is_nan());
}

#[test]
fn several_columns_name_a_curve_and_numbers_keep_their_column() {
    let text = "arch,opt,width,n,loss\nvit,adam,8,1,2\nvit,,16,1,2\n";
    for by in [vec!["arch,opt,width".to_owned()], vec!["arch".into(), "opt".into(), "width".into()]] {
        let read = over(PARAMS, text.as_bytes(), &Asked { by, ..Asked::default() }).unwrap().points;
        assert_eq!((read[0].curve.as_str(), read[1].curve.as_str()), ("vit adam width=8", "vit opt= width=16"));
    }
}

#[test]
fn a_column_has_one_meaning() {
    let text = "width,n,loss\n8,100,1.6\n32,200,1.2\n";
    let point = |asked: &[(&str, &str)]| {
        let asked = Asked { named: named(asked), ..Asked::default() };
        over(DATA, text.as_bytes(), &asked).unwrap().points.remove(0)
    };
    assert_eq!((point(&[]).params, point(&[]).data), (Some(100.0), None));
    let renamed = point(&[("examples", "n")]);
    assert_eq!((renamed.params, renamed.data), (None, Some(100.0)));
    let both = point(&[("examples", "n"), ("params", "width")]);
    assert_eq!((both.params, both.data), (Some(8.0), Some(100.0)));
    let asked = Asked { named: named(&[("examples", "n"), ("params", "n")]), ..Asked::default() };
    assert!(refusal(DATA, text, &asked).message.contains("n: the column means examples already"));
    let asked = Asked { named: named(&[("examples", "loss")]), metric: Some("loss".into()), ..Asked::default() };
    assert!(refusal(DATA, text, &asked).message.contains("loss is the metric"));
}

#[test]
fn what_is_seen_is_said_or_counted_by_epochs() {
    let seen = |text: &str| points(text).unwrap()[0].seen;
    assert_eq!(seen("examples,seen,epochs,loss\n10,35,4,1\n"), Some(35.0));
    assert_eq!(seen("examples,epochs,loss\n10,4,1\n"), Some(40.0));
    assert_eq!(seen("examples,loss\n10,1\n"), None);
    let only = over(DATA, b"total_tokens,loss\n10,1\n", &Asked::default()).unwrap();
    assert_eq!((only.points[0].data, only.points[0].seen), (Some(10.0), Some(10.0)));
    assert!(only.notes[0].contains("total_tokens is taken for data"), "{:?}", only.notes);
}

#[test]
fn complaints_name_line_and_column() {
    let message = |text: &str| points(text).unwrap_err().to_string();
    assert_eq!(message(""), "f.csv is empty");
    assert_eq!(message("\n\n"), "f.csv is empty");
    assert_eq!(message("params,loss\n"), "f.csv has a header and no rows");
    assert_eq!(message("params,loss\n1,2\n3,two\n"), "f.csv:3: column 2 (loss) holds 'two', not a number");
    assert_eq!(message("params,loss\r\n1,2\r\n\r\n3,?\r\n"), "f.csv:4: column 2 (loss) holds '?', not a number");
    assert_eq!(message("params,loss\n1,2,3\n"), "f.csv:2: the row has 3 fields and the header 2");
    assert_eq!(message("params,loss,seed\n1,2,0.5\n"), "f.csv:2: column 3 (seed) holds '0.5', not a whole number");
    assert_eq!(message("loss,Loss,params\n1,2,3\n"), "f.csv has two columns called loss");
    assert!(message("params,lossy\n1,2\n").starts_with("f.csv has no column of losses"));
    assert!(message("width,loss\n1,2\n").starts_with("f.csv has no column of scales"));
    assert!(message("n,loss_a,loss_b\n1,2,3\n").contains("several metrics: loss_a, loss_b"));
    let asked = Asked { metric: Some("los".into()), ..Asked::default() };
    assert_eq!(refusal(DATA, "params,loss\n1,2\n", &asked).hint.as_deref(), Some("did you mean loss?"));
    let asked = Asked { named: named(&[("width", "w")]), ..Asked::default() };
    assert!(over(DATA, b"params,loss\n1,2\n", &asked).is_err());
}

#[test]
fn counts_with_units_are_read_and_doubtful_ones_refused() {
    let point = |text: &str| points(text).unwrap().remove(0);
    let read = point("arch,params,tokens,loss\nvit,70M,300B,3.1\n");
    assert_eq!((read.params, read.data), (Some(7e7), Some(3e11)));
    assert_eq!(point("params (M),loss\n70,3\n").params, Some(7e7));
    assert_eq!(point("n,loss\n\"1,000\",3\n").params, Some(1e3));
    assert_eq!(point("n,loss\n1.5,3\n1.000,3\n").params, Some(1.5));
    assert!(point("n,loss\n1,NA\n").value.is_nan());
    let hint = |text: &str| points(text).unwrap_err().hint.unwrap();
    assert!(hint("n;loss\n1,000;3\n").contains("write 1.000 or 1000"));
    assert!(hint("n;loss\n1;3,5\n").contains("as 1.5"));
    assert!(hint("n,loss\n1.000,3\n12.500,2\n").contains("write 1000 or 1e0"));
    assert!(hint("params (M),loss\n70M,3\n").contains("'params (M)' is read as times 1e6"));
    assert!(hint("examples,acc\n1,40%\n2,50\n").contains("all of them with %"));
}

/// Six runs of rising size, each measured at five steps; the last loss is 1.5 + 30 N^-0.25.
fn checkpoints(run: bool, by: &str) -> String {
    let mut text = format!("arch,{}params,{by},loss\n", if run { "run," } else { "" });
    for (i, n) in [1e6, 3e6, 1e7, 3e7, 1e8, 3e8].into_iter().enumerate() {
        for step in [100.0, 300.0, 1e3, 3e3, 1e4] {
            let run = if run { format!("r{i},") } else { String::new() };
            let loss = 1.5 + 30.0 * f64::powf(n, -0.25) + 400.0 * (1.0 / step - 1e-4);
            text += &format!("vit,{run}{n},{step},{loss:.6}\n");
        }
    }
    text
}

#[test]
fn the_last_checkpoint_stands_for_a_run() {
    let with_run = "30 of 30 rows are checkpoints of 6 runs: the last of each is used";
    let without = "30 of 30 rows look like checkpoints of 6 runs (equal scales, rising steps; no column of runs): the \
                   last of each is used; --checkpoints all uses every one";
    for (run, note) in [(true, with_run), (false, without)] {
        let found = over(PARAMS, checkpoints(run, "step").as_bytes(), &Asked::default()).unwrap();
        assert_eq!((found.points.len(), found.notes), (6, vec![note.to_owned()]));
        let fit = crate::fit::fit_curves(&found.points, Axis::Params, &crate::fit::Settings::default()).unwrap();
        let floor = fit.fits[0].params["E"];
        assert!((floor / 1.5 - 1.0).abs() < 0.01, "{floor}");
    }
    // In any order, and with a last row that was not measured.
    let mut lines: Vec<String> = checkpoints(true, "step").lines().map(str::to_owned).collect();
    lines[1..].reverse();
    lines.push("vit,r0,1e6,20000,".into());
    let found = over(PARAMS, lines.join("\n").as_bytes(), &Asked::default()).unwrap();
    assert!(found.points.iter().all(|point| point.value < 2.5), "{:?}", found.points);
    let asked = Asked { checkpoints: Some(Checkpoints::All), ..Asked::default() };
    assert!(refusal(PARAMS, &checkpoints(true, "step"), &asked).message.contains("one scale of params"));
    assert_eq!(over(PARAMS, checkpoints(false, "step").as_bytes(), &asked).unwrap().points.len(), 30);
}

#[test]
fn along_data_checkpoints_are_points_of_their_own() {
    let count = |scale, checkpoints| {
        let asked = Asked { checkpoints, ..Asked::default() };
        over(scale, self::checkpoints(true, "tokens").as_bytes(), &asked).unwrap().points.len()
    };
    assert_eq!((count(DATA, None), count(DATA, Some(Checkpoints::Last))), (30, 6));
    assert_eq!((count(COMPUTE, None), count(PARAMS, None), count(Scale::Profile, None)), (30, 6, 6));
    assert_eq!((count(Scale::Surface, None), count(Scale::Surface, Some(Checkpoints::All))), (6, 30));
}

/// Budgets are no checkpoints: rows of one size with other data, however their steps rise.
#[test]
fn runs_that_differ_in_their_budget_are_runs() {
    let mut text = String::from("params,tokens,step,loss\n");
    for n in [1e6, 1e7, 1e8] {
        (1..6).for_each(|i| text += &format!("{n},{},{},{}\n", i * 1000, i * 10, 1.0 / f64::from(i)));
    }
    for scale in [DATA, Scale::Surface, COMPUTE] {
        let found = over(scale, text.as_bytes(), &Asked::default()).unwrap();
        assert_eq!(found.points.len(), 15, "{:?}", found.notes);
    }
    // Two seeds that stopped at other steps are two runs.
    let text = "params,step,loss\n1e6,100,2\n1e6,90,2.1\n1e7,100,1\n1e7,100,1.1\n";
    assert_eq!(over(PARAMS, text.as_bytes(), &Asked::default()).unwrap().points.len(), 4);
}

fn rising(scale: f64, percent: &str) -> String {
    let mut text = String::from("examples,accuracy\n");
    for x in [1e3, 4e3, 1.6e4, 6.4e4, 2.56e5] {
        text += &format!("{x},{:.4}{percent}\n", scale * (0.95 - 5.0 * f64::powf(x, -0.4)));
    }
    text
}

#[test]
fn a_metric_that_rises_is_refused_or_turned_round() {
    for text in [rising(1.0, ""), rising(100.0, ""), rising(100.0, "%")] {
        let error = refusal(DATA, &text, &Asked::default());
        assert!(error.message.starts_with("accuracy rises with scale (by its name)"), "{error}");
        assert!(error.hint.unwrap().contains("--rising"));
    }
    let asked = Asked { rising: Some(Ceiling::Found), ..Asked::default() };
    let turned = |text: &str| over(DATA, text.as_bytes(), &asked).unwrap();
    let share = turned(&rising(1.0, ""));
    assert_eq!(share.origin.fitted.as_deref(), Some("1 - accuracy"));
    let fit = crate::fit::fit_curves(&share.points, Axis::Data, &crate::fit::Settings::default()).unwrap();
    assert!((fit.fits[0].params["E"] - 0.05).abs() < 0.002, "{:?}", fit.fits[0].params);
    let percent = turned(&rising(100.0, "%"));
    assert_eq!((percent.origin.fitted.as_deref(), percent.origin.percent), (Some("100% - accuracy"), true));
    assert!((percent.points[0].value / share.points[0].value - 100.0).abs() < 0.1);
    assert_eq!(turned(&rising(100.0, "")).origin.fitted.as_deref(), Some("100 - accuracy"));
    let beyond = refusal(DATA, &rising(1000.0, ""), &asked);
    assert!(beyond.hint.unwrap().contains("--rising=1000"));
    let asked = Asked { rising: Some(Ceiling::Given(1000.0)), ..Asked::default() };
    assert_eq!(over(DATA, rising(1000.0, "").as_bytes(), &asked).unwrap().origin.fitted.unwrap(), "1000 - accuracy");
}

#[test]
fn a_metric_without_a_telling_name_is_judged_by_its_values() {
    let asked = Asked { metric: Some("y".into()), ..Asked::default() };
    let text = rising(1.0, "").replace("accuracy", "y");
    let error = refusal(DATA, &text, &asked);
    assert!(error.message.contains("larger at larger scales"), "{error}");
    // Beyond 1, or called a loss, it is what it is.
    assert!(over(DATA, rising(3.0, "").replace("accuracy", "y").as_bytes(), &asked).is_ok());
    assert!(points(&rising(1.0, "").replace("accuracy", "loss")).is_ok());
    let falling = "examples,y\n1,0.9\n2,0.8\n3,0.7\n4,0.6\n";
    assert!(over(DATA, falling.as_bytes(), &asked).is_ok());
}

/// How often a metric without a telling name is said to rise, of 400 files each with 7 scales, 3 seeds and noise.
#[test]
fn what_falls_is_never_said_to_rise_and_what_goes_nowhere_seldom() {
    let asked = Asked { metric: Some("y".into()), ..Asked::default() };
    let said = |seeds: u64, noise: f64, y: &dyn Fn(f64) -> f64| {
        let refused = |file: &u64| {
            let mut rng = crate::random::stream(*file, "direction", seeds);
            let normal = rand_distr::Normal::new(0.0, noise).unwrap();
            let mut text = String::from("examples,seed,y\n");
            for x in (0..7).map(|i| 1e3 * 4f64.powi(i)) {
                for seed in 0..seeds {
                    let y = y(x) * f64::exp(rand_distr::Distribution::sample(&normal, &mut rng));
                    text += &format!("{x},{seed},{y:.6}\n");
                }
            }
            over(DATA, text.as_bytes(), &asked).is_err()
        };
        (0..400).filter(refused).count()
    };
    let falls = |x: f64| 0.2 + 5.0 * x.powf(-0.35);
    assert_eq!((said(1, 0.02, &falls), said(3, 0.1, &falls)), (0, 0));
    let rises = |x: f64| 0.8 - 5.0 * x.powf(-0.4);
    assert_eq!((said(1, 0.02, &rises), said(3, 0.05, &rises)), (400, 400));
    let nowhere = [said(1, 0.02, &|_| 0.5), said(3, 0.02, &|_| 0.5)];
    assert!(nowhere.iter().all(|count| *count <= 400 / 12), "{nowhere:?}");
}

#[test]
fn compute_is_six_n_d_where_no_column_counts_it() {
    let text = "params,tokens,loss\n10,20,3\n";
    let found = |asked: &Asked, scale| over(scale, text.as_bytes(), asked).unwrap();
    let six = found(&Asked::default(), COMPUTE);
    assert_eq!((six.points[0].compute, six.origin.formulas["compute"].as_str()), (Some(1200.0), "6 N D"));
    assert!(six.notes[0].contains("compute is 6 N D"));
    let two = found(&Asked { flops_per: Some(2.0), ..Asked::default() }, Scale::Profile);
    assert_eq!(two.points[0].compute, Some(400.0));
    assert_eq!(found(&Asked::default(), DATA).points[0].compute, None);
    let seen = over(COMPUTE, b"params,tokens,epochs,loss\n10,20,3,3\n", &Asked::default()).unwrap();
    assert_eq!((seen.points[0].compute, seen.origin.formulas["compute"].as_str()), (Some(3600.0), "6 N seen"));
    let surface = over(Scale::Surface, b"n,flops,loss\n10,1200,3\n", &Asked::default()).unwrap();
    assert_eq!((surface.points[0].data, surface.origin.formulas["data"].as_str()), (Some(20.0), "C / 6 N"));
    let asked = Asked { flops_per: Some(2.0), ..Asked::default() };
    assert!(refusal(COMPUTE, "n,flops,loss\n10,1200,3\n", &asked).message.contains("column flops"));
    assert!(refusal(COMPUTE, "n,loss\n10,3\n", &asked).message.contains("no columns of params and of examples"));
}

#[test]
fn evaluation_sets_have_to_be_chosen() {
    let mut text = String::from("run,n,eval_set,loss\n");
    for n in 1..6 {
        ["c4", "pile"].iter().for_each(|set| text += &format!("r{n},{n}e6,{set},{}\n", 1.0 / f64::from(n)));
    }
    let error = refusal(PARAMS, &text, &Asked::default());
    assert!(error.message.contains("are of a run at one scale and differ in eval_set (c4, pile)"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("choose one: --where 'eval_set=c4'; or a curve for each: --by eval_set"));
    let asked = Asked { filters: vec!["eval_set=pile".parse().unwrap()], ..Asked::default() };
    let found = over(PARAMS, text.as_bytes(), &asked).unwrap();
    assert_eq!((found.points.len(), found.origin.filters), (5, vec!["eval_set=pile".to_owned()]));
    let by = Asked { by: vec!["eval_set".into()], ..Asked::default() };
    assert_eq!(over(PARAMS, text.as_bytes(), &by).unwrap().points.len(), 10);
    // Names and notes that no two rows share are no sets, and neither are seeds.
    let mut text = String::from("n,note,loss\n");
    (0..8).for_each(|i| text += &format!("{}e6,note{i},{}\n", 1 + i / 2, 1.0 / f64::from(1 + i / 2)));
    assert_eq!(over(PARAMS, text.as_bytes(), &Asked::default()).unwrap().points.len(), 8);
}

#[test]
fn tuned_columns_are_minimised_over_by_the_mean_over_seeds() {
    let mut text = String::from("examples,seed,lr,val_loss,test_loss\n");
    for x in [100, 200] {
        for (lr, val) in [(0.001, 2.0), (0.01, 1.0), (0.1, 1.2)] {
            // A lucky seed of the largest rate, and a test loss that would choose another one.
            let luck = if lr == 0.1 { 0.5 } else { 0.0 };
            text += &format!("{x},0,{lr},{},{}\n{x},1,{lr},{},{}\n", val - luck, 3.0 - lr, val + luck, 3.0 - lr);
        }
    }
    let asked = Asked { tuned: vec!["lr".into()], ..Asked::default() };
    let found = over(DATA, text.as_bytes(), &asked).unwrap();
    assert_eq!(found.points.len(), 4);
    let made = found.points[0].made.as_ref().unwrap();
    assert_eq!((made.tuned["lr"].as_f64(), found.origin.at_edge.len()), (Some(0.01), 0));
    assert!(found.notes[0].contains("by the mean of val_loss"), "{:?}", found.notes);
    let asked = Asked { metric: Some("val_loss".into()), tuned: vec!["lr".into()], ..Asked::default() };
    let cut = text.lines().filter(|line| !line.contains(",0.001,")).collect::<Vec<_>>().join("\n");
    let found = over(DATA, cut.as_bytes(), &asked).unwrap();
    assert!(found.origin.at_edge.values().all(|keys| keys == &["lr"]) && found.origin.at_edge.len() == 4);
    assert!(found.notes[0].contains("the metric itself"), "{:?}", found.notes);
    // Nobody asked: it is said.
    let said = over(DATA, text.as_bytes(), &Asked::default()).unwrap().notes;
    assert!(said.iter().any(|note| note.contains("differ in lr (0.001, 0.01, 0.1): --tuned lr")), "{said:?}");
}

#[test]
fn runs_of_an_export_that_have_not_finished_are_left_out() {
    let text = "\"Name\",\"State\",\"_step\",\"model.arch\",\"model.num_params\",\"data.tokens\",\"val/loss\"\n\
                \"a1\",\"finished\",\"9\",\"vit\",\"70M\",\"1,000,000\",\"3.1\"\n\
                \"a2\",\"crashed\",\"3\",\"vit\",\"70M\",\"4e6\",\"NaN\"\n\
                \"a3\",\"finished\",\"9\",\"conv\",\"70M\",\"4e6\",\"Infinity\"\n";
    let found = over(DATA, text.as_bytes(), &Asked::default()).unwrap();
    let read: Vec<_> = found.points.iter().map(|point| (point.curve.as_str(), point.data, point.value)).collect();
    assert_eq!(read, [("vit", Some(1e6), 3.1), ("conv", Some(4e6), f64::INFINITY)]);
    assert_eq!((found.origin.left_out[0].point.as_str(), found.origin.left_out.len()), ("f.csv:3 (a2)", 1));
    assert!(found.notes[0].contains("params = model.num_params"), "{:?}", found.notes);
    assert!(found.notes[1].contains("f.csv:3 (a2): the run is crashed"), "{:?}", found.notes);
    assert_eq!(found.origin.columns["params"], "model.num_params");
    let asked = Asked { filters: vec!["state!=failed".parse().unwrap()], ..Asked::default() };
    assert_eq!(over(DATA, text.as_bytes(), &asked).unwrap().points.len(), 3);
}

#[test]
fn a_panel_is_drawn_over_its_step() {
    let text = "Step,a - loss,a - loss__MIN,a - loss__MAX\n1,3,3,3\n2,2,2,2\n";
    let found = over(DATA, text.as_bytes(), &Asked::default()).unwrap();
    let read: Vec<_> = found.points.iter().map(|p| (p.curve.as_str(), p.source.as_str(), p.data, p.value)).collect();
    assert_eq!(read, [("a", "f.csv run a", Some(1.0), 3.0), ("a", "f.csv run a", Some(2.0), 2.0)]);
    assert!(found.notes[0].contains("Step"), "{:?}", found.notes);
    let error = refusal(PARAMS, text, &Asked::default());
    assert!(error.message.contains("a panel"), "{error}");
}

/// The same rows as pandas writes them: plain, packed, as JSON, as Parquet.
#[test]
fn every_format_gives_the_same_points() {
    let rows = [("vit", 1e6, 2.5), ("vit", 2e6, 2.0)];
    let csv = rows.iter().fold("arch,params,loss\n".to_owned(), |text, (a, n, l)| format!("{text}{a},{n},{l}\n"));
    let lines = rows.map(|(a, n, l)| format!("{{\"arch\": \"{a}\", \"model\": {{\"params\": {n}}}, \"loss\": {l}}}"));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(lines.join("\n").as_bytes()).unwrap();
    let files: [(&str, Vec<u8>); 6] = [
        ("a.csv", csv.clone().into_bytes()),
        ("b.jsonl", lines.join("\n").into_bytes()),
        ("c.json", format!("[{}]", lines.join(",")).into_bytes()),
        ("d.jsonl.gz", gz.finish().unwrap()),
        ("e.txt", zstd::encode_all(csv.as_bytes(), 3).unwrap()),
        ("f.parquet", parquet(&rows)),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let read = read(&Asked { path, ..Asked::default() }, PARAMS).unwrap();
        let points: Vec<_> = read.points.iter().map(|p| (p.curve.as_str(), p.params.unwrap(), p.value)).collect();
        assert_eq!(points, rows, "{name}");
        assert_eq!(read.origin.sha256.len(), 64);
    }
}

fn parquet(rows: &[(&str, f64, f64)]) -> Vec<u8> {
    use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    let schema = "message rows { required binary arch (UTF8); required double params; optional double loss; }";
    let schema = std::sync::Arc::new(::parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(::parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let names: Vec<ByteArray> = rows.iter().map(|row| row.0.into()).collect();
    let column = |pick: fn(&(&str, f64, f64)) -> f64| rows.iter().map(pick).collect::<Vec<f64>>();
    let mut next = group.next_column().unwrap().unwrap();
    next.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
    next.close().unwrap();
    let mut next = group.next_column().unwrap().unwrap();
    next.typed::<DoubleType>().write_batch(&column(|row| row.1), None, None).unwrap();
    next.close().unwrap();
    let mut next = group.next_column().unwrap().unwrap();
    next.typed::<DoubleType>().write_batch(&column(|row| row.2), Some(&vec![1; rows.len()]), None).unwrap();
    next.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

/// Thousands of mutilations of good files of every format: an answer or an error, never a panic.
#[test]
fn no_bytes_make_it_panic() {
    let csv = b"arch,params,examples,flops,loss,seed,run,step\n\"v,it\",1e3,2,3,0.5,1,a,1\nvit,10,20M,30,40%,,\xff,2\n";
    let json = b"{\"arch\": \"v\\\"it\", \"m\": {\"params\": 1e3}, \"loss\": NaN}\n[{\"loss\": 1, \"n\": null}]\n";
    let panel = b"Step,a - loss,a - loss__MIN,a - loss__MAX\n1,3,3,3\n2,2,2,2\n";
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(csv).unwrap();
    let packed = [gz.finish().unwrap(), zstd::encode_all(&csv[..], 3).unwrap(), parquet(&[("vit", 1e6, 2.5)])];
    let good = [&csv[..], json, panel].map(<[u8]>::to_vec).into_iter().chain(packed);
    for (which, good) in good.enumerate() {
        for index in 0..3000 {
            let mut rng = random::stream(which as u64, "bytes", index);
            let mut bytes = good.clone();
            for _ in 0..=rng.next_u32() % 8 {
                let at = rng.next_u32() as usize % bytes.len();
                match rng.next_u32() % 4 {
                    0 => bytes[at] = rng.next_u32() as u8,
                    1 => bytes.insert(at, b"\n\r,;\t\"-e{}[]:.%M"[rng.next_u32() as usize % 16]),
                    2 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let Ok(unpacked) = bytes::unpacked("f", &bytes, 1 << 30) else { continue };
            let Ok(table) = format::table("f", &unpacked.unwrap_or(bytes).into()) else { continue };
            for scale in [PARAMS, DATA, COMPUTE, Scale::Surface] {
                let _ = found(&table, "", &Asked::default(), scale);
            }
        }
    }
}

#[test]
fn a_curve_a_row_is_said() {
    let text = "model,family,n,loss\na,x,1,4\nb,x,2,3\nc,x,3,2\nd,x,4,1\n";
    let notes = |by: Vec<String>| over(PARAMS, text.as_bytes(), &Asked { by, ..Asked::default() }).unwrap().notes;
    assert!(notes(Vec::new())[0].contains("each row is a curve of its own by column model"));
    assert!(notes(vec!["family".into()]).is_empty());
}

#[test]
fn a_missing_file_is_bad_input() {
    let asked = Asked { path: Path::new("nowhere.csv").into(), ..Asked::default() };
    assert_eq!(read(&asked, DATA).unwrap_err().exit_code(), 2);
}
