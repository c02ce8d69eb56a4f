//! `crossover plan`.

use crate::workdir::Workdir;

#[test]
fn every_axis_multiplies_and_ids_are_distinct() {
    let dir = Workdir::new();
    let sweep = r#"
name = "grid"
task = { name = "mnist1d" }
[axes]
examples = [100, 200, 300]
seed = [0, 1]
batch = [16, 32]
[tuned]
lr = [1e-3, 2e-3]
[budget]
epochs = [1, 2]
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
"#;
    let plan = dir.write("grid.toml", sweep).json(&["plan", "grid.toml", "--no-time", "--json"]);
    let runs = plan["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 3 * 2 * 2 * 2 * 2);
    let ids: std::collections::HashSet<_> = runs.iter().map(|run| run["id"].as_str()).collect();
    assert_eq!(ids.len(), runs.len());
    let cells: std::collections::HashSet<_> = runs.iter().map(|run| run["cell"].as_str()).collect();
    assert_eq!(cells.len(), 3 * 2 * 2, "tuned values and seeds share a cell");
    let labels: std::collections::BTreeSet<_> = runs.iter().map(|run| run["label"].as_str()).collect();
    assert_eq!(labels.into_iter().flatten().collect::<Vec<_>>(), ["convnet batch=16", "convnet batch=32"]);
    for run in runs {
        let config = &run["config"];
        let seen = config["steps"].as_u64().unwrap() * config["train"]["batch"].as_u64().unwrap();
        let flops = 3 * run["costs"]["forward_flops"].as_u64().unwrap() * seen;
        assert_eq!(run["train_flops"].as_u64(), Some(flops));
    }
}

#[test]
fn cells_that_make_no_sense_are_listed_with_the_reason() {
    let dir = Workdir::new();
    let sweep = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [1000]
[budget]
flops = [1.0, 1e12]
[[model]]
arch = "vit"
patch = 5
params = [1e4, 3]
"#;
    let plan = dir.write("small.toml", sweep).json(&["plan", "small.toml", "--no-time", "--json"]);
    assert_eq!(plan["runs"].as_array().map(Vec::len), Some(1));
    let dropped: Vec<_> = plan["dropped"].as_array().unwrap().iter().map(|d| d["reason"].as_str().unwrap()).collect();
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped.iter().any(|reason| reason.contains("buys no step")), "{dropped:?}");
}

/// Sizes x FLOPs: every cell spends its budget, or is dropped with the reason.
#[test]
fn an_isoflop_grid_keeps_the_cells_that_spend_their_budget() {
    let dir = Workdir::new();
    let sweep = r#"
name = "isoflop"
task = { name = "mnist1d" }
[axes]
examples = [2500]
[budget]
flops = [1e10, 1e11, 1e12]
[[model]]
arch = "vit"
patch = 5
params = [1e4, 1e5, 1e6]
"#;
    let plan = dir.write("isoflop.toml", sweep).json(&["plan", "isoflop.toml", "--no-time", "--json"]);
    let runs = plan["runs"].as_array().expect("runs");
    for run in runs {
        let flops = run["train_flops"].as_f64().expect("FLOPs");
        assert!([1e10, 1e11, 1e12].iter().any(|budget| (0.95 * budget..=*budget).contains(&flops)), "{flops}");
    }
    let dropped = plan["dropped"].as_array().expect("dropped");
    assert_eq!(runs.len() + dropped.len(), 9, "{dropped:?}");
    let reasons: Vec<_> = dropped.iter().map(|d| d["reason"].as_str().expect("a reason")).collect();
    assert!(reasons.iter().any(|reason| reason.contains("sees 1920 of the 2500 examples")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("over after")), "{reasons:?}");
}

/// Where the axis says nothing, what a budget sees of the split is the data, and no cell is dropped for it.
#[test]
fn without_a_number_of_examples_the_budget_says_how_many() {
    let dir = Workdir::new();
    let sweep = r#"
name = "onepass"
task = { name = "fashion-mnist", validation = 2000 }
[budget]
examples = [640, 64_000]
[[model]]
arch = "mlp"
"#;
    dir.write("onepass.toml", sweep);
    let plan = dir.json(&["plan", "onepass.toml", "--no-time", "--json"]);
    assert_eq!((plan["runs"].as_array().map(Vec::len), plan["dropped"].as_array().map(Vec::len)), (Some(2), Some(0)));
    let table = dir.stdout(&["plan", "onepass.toml", "--no-time"]);
    let examples = |row: &str| row.split_whitespace().rev().nth(2).map(str::to_owned);
    let rows: Vec<_> = table.lines().filter(|line| line.contains("mlp")).map(examples).collect();
    assert_eq!(rows.into_iter().flatten().collect::<Vec<_>>(), ["640", "58000"], "{table}");
}

#[test]
fn a_missing_file_is_named() {
    let stderr = Workdir::new().stderr(&["plan", "nowhere.toml"], 2);
    assert!(stderr.contains("nowhere.toml") && stderr.contains("hint:"), "{stderr}");
}

#[test]
fn every_family_is_found_at_matched_cost() {
    let dir = Workdir::new();
    let ladder = concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps/ladder.toml");
    let plan = dir.json(&["plan", ladder, "--no-time", "--json"]);
    let runs = plan["runs"].as_array().expect("runs");
    let near = |cost: &serde_json::Value, target: f64| (cost.as_f64().expect("a cost") / target - 1.0).abs() <= 0.1;
    for run in runs {
        let (label, costs) = (run["label"].as_str().expect("a label"), &run["costs"]);
        match label.ends_with("params") {
            true => assert!(near(&costs["params"], 1e5), "{label}: {costs}"),
            false => assert!(near(&costs["forward_flops"], 3e7), "{label}: {costs}"),
        }
    }
    assert_eq!((runs.len(), plan["dropped"].as_array().map(Vec::len)), (22, Some(0)), "{}", plan["dropped"]);
    let archs = dir.json(&["model", "list", "--json"]);
    for arch in archs.as_array().expect("archs") {
        let of_arch = runs.iter().filter(|run| run["config"]["model"]["name"] == arch["arch"]).count();
        assert!(of_arch >= 2, "{} is missing at one of the costs: {}", arch["arch"], plan["dropped"]);
    }
}

/// Each value of a transform is a curve of its own, costed on the images that it gives.
#[test]
fn transforms_are_axes() {
    let dir = Workdir::new();
    let sweep = r#"
name = "transforms"
task = { name = "mnist1d" }
[axes]
examples = [100]
shuffle = [false, true]
label_noise = [0.0, 0.2]
augment = ["none", "shift-flip"]
resolution = [40, 20]
[budget]
steps = 10
[[model]]
arch = "vit"
patch = 5
width = 16
depth = 1
heads = 2
"#;
    let plan = dir.write("transforms.toml", sweep).json(&["plan", "transforms.toml", "--no-time", "--json"]);
    let runs = plan["runs"].as_array().expect("runs");
    // Moving pixels that were shuffled makes no sense: 2 x 2 of the 16 are dropped.
    assert_eq!(runs.len(), 12);
    let dropped = plan["dropped"].as_array().unwrap();
    assert_eq!(dropped.len(), 4);
    assert_eq!(dropped[0]["what"], "augment=shift-flip label_noise=0.0 resolution=40 shuffle=true");
    assert!(dropped[0]["reason"].as_str().unwrap().contains("shuffle leaves no neighbours"));
    for key in ["id", "cell", "label"] {
        let distinct: std::collections::HashSet<_> = runs.iter().map(|run| run[key].as_str()).collect();
        assert_eq!(distinct.len(), runs.len(), "{key}");
    }
    for run in runs {
        let settings = &run["config"]["task"]["settings"];
        let side = settings["resolution"].as_u64().unwrap();
        assert_eq!(run["io"]["width"].as_u64(), Some(side));
        let label = run["label"].as_str().unwrap();
        assert!(label.contains(&format!("resolution={side}")), "{label}");
        assert!(label.contains(&format!("shuffle={}", settings["shuffle"])), "{label}");
    }
    let params = |side: u64| {
        let run = runs.iter().find(|run| run["io"]["width"] == side).unwrap();
        run["costs"]["params"].as_u64().unwrap()
    };
    assert_eq!(params(40) - params(20), 4 * 16, "four patches more, a position code each");
}

/// What the task is varies with its axes: each cell is asked, not the defaults.
#[test]
fn axes_of_the_task_decide_which_cells_there_are() {
    let sweep = |task: &str, axes: &str, model: &str| {
        format!("name = \"x\"\ntask = {task}\n[axes]\n{axes}\n[budget]\nepochs = 1\n[[model]]\n{model}\n")
    };
    let plan = |text: &str| {
        let dir = Workdir::new();
        let plan = dir.write("x.toml", text).json(&["plan", "x.toml", "--no-time", "--json"]);
        let dropped = plan["dropped"].as_array().unwrap().iter().map(|dropped| dropped["reason"].to_string());
        (plan["runs"].as_array().unwrap().len(), dropped.collect::<Vec<_>>())
    };
    // 8 m^3 are 64 and 512 examples, of which 20 are held out.
    let rhm = "{ name = \"rhm\", L = 2, validation = 10, test = 10 }";
    let (runs, dropped) = plan(&sweep(rhm, "m = [2, 4]\nexamples = [300]", "arch = \"mlp\""));
    assert_eq!((runs, dropped.len()), (1, 1), "{dropped:?}");
    assert!(dropped[0].contains("the task has 44 training examples"), "{dropped:?}");
    // 7 divides 35 and 42, and not the 32 pixels that the task has by itself.
    let (runs, dropped) =
        plan(&sweep("{ name = \"relations\" }", "size = [35, 40, 42]\nexamples = [64]", "arch = \"vit\"\npatch = 7"));
    assert_eq!((runs, dropped.len()), (2, 1), "{dropped:?}");
}

/// What a size is stands in the table and in the JSON; what no usual shape reaches, with both neighbours.
#[test]
fn sizes_are_shown_and_odd_ones_are_refused_with_their_neighbours() {
    let dir = Workdir::new();
    let sweep = r#"
name = "shape"
task = { name = "mnist1d" }
[axes]
examples = [1000]
[budget]
epochs = 20
[[model]]
name = "convnet-auto"
arch = "convnet"
params = [5e3, 3e4]
[[model]]
name = "convnet-111"
arch = "convnet"
depths = [1, 1, 1]
params = [4336]
[[model]]
arch = "perceiver"
params = [5e4]
[[model]]
arch = "vit"
width = 20
depth = 9
heads = 2
"#;
    dir.write("shape.toml", sweep);
    let table = dir.stdout(&["plan", "shape.toml", "--no-time"]);
    for shown in ["width=16 depths=1,1,1", "width=6 depths=1,1,1", "layers_per_block=", "width=20 depth=9 heads=2"] {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    let rows = table.lines().take_while(|line| !line.is_empty());
    assert!(rows.map(str::len).max() <= Some(100), "{table}");
    let refusal = "convnet: no usual shape is within 10% of 5.00k params; width=6 depths=1,1,1 has 4.34k (13.29% below), \
                   width=7 depths=1,1,1 has 5.80k (15.98% above): ask for one of these, or give tolerance = 0.14";
    assert!(table.contains(refusal), "{table}");

    let plan = dir.json(&["plan", "shape.toml", "--no-time", "--json"]);
    let shape = |label: &str| {
        let run = plan["runs"].as_array().unwrap().iter().find(|run| run["label"] == label).unwrap();
        run["shape"].clone()
    };
    assert_eq!(shape("convnet-auto"), serde_json::json!({"width": 16, "depths": [1, 1, 1]}));
    assert_eq!(shape("vit"), serde_json::json!({"width": 20, "depth": 9, "heads": 2}));
    let keys: Vec<_> = shape("perceiver").as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["bands", "blocks", "latents", "layers_per_block", "width"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_obstacle() {
    let dir = Workdir::new();
    dir.write("small.toml", crate::output::SWEEP).write("no-folder", "");
    let output = dir.command(&["plan", "small.toml"]).env("CROSSOVER_CACHE", dir.path("no-folder")).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("note: step times are not kept: "), "{said}");
}
