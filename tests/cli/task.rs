//! `crossover task`, and sweeps on a user's own files.

use crate::workdir::Workdir;

/// A folder of two classes, small images that the test paints.
fn photos(dir: &Workdir, folder: &str) {
    for (class, count) in [("ant", 30), ("bee", 20)] {
        std::fs::create_dir_all(dir.path(&format!("{folder}/{class}"))).expect("a folder");
        for i in 0..count {
            let shade = if class == "ant" { 3 * i } else { 255 - 3 * i } as u8;
            let image = image::RgbImage::from_pixel(9, 12, image::Rgb([shade, 100, i as u8]));
            image.save(dir.path(&format!("{folder}/{class}/{i}.png"))).expect("a PNG");
        }
    }
}

#[test]
fn a_task_is_described_with_what_its_keys_mean() {
    let dir = Workdir::new();
    let text = dir.stdout(&["task", "show", "rhm"]);
    for (key, meaning) in [("v = 8", "symbols of each level"), ("m = 4", "spellings"), ("L = 3", "levels")] {
        assert!(text.lines().any(|line| line.contains(key) && line.contains(meaning)), "{key}: {text}");
    }
    let task = dir.json(&["task", "show", "relations", "--set", "relational=0.5", "noise=0.4", "--json"]);
    assert!((task["local_floor"].as_f64().unwrap() - 0.562_335_144_618_808_3).abs() < 1e-12);
    assert_eq!(
        task["meanings"].as_object().map(|keys| keys.len()),
        task["settings"].as_object().map(|keys| keys.len())
    );
}

#[test]
fn examples_are_drawn() {
    let dir = Workdir::new();
    for (name, file) in [("mnist1d", "a.png"), ("rhm", "b.svg"), ("relations", "c.svg")] {
        dir.stdout(&["task", "show", name, "--count", "12", "-o", file]);
        let drawn = std::fs::read(dir.path(file)).expect("a picture");
        match file.ends_with("svg") {
            true => assert_eq!(String::from_utf8(drawn).expect("UTF-8").matches("<image ").count(), 12),
            false => assert_eq!(drawn[..4], *b"\x89PNG"),
        }
    }
    let stderr = dir.output(&["task", "show", "rhm", "-o", "a.jpg"]).stderr;
    assert!(String::from_utf8_lossy(&stderr).contains("a.jpg: a figure is written as .svg or .png"));
}

#[test]
fn a_folder_of_images_is_a_task_wherever_it_lies() {
    let dir = Workdir::new();
    photos(&dir, "photos");
    let shown = dir.json(&["task", "show", "images:photos", "--set", "size=8", "-o", "sheet.png", "--json"]);
    assert_eq!((&shown["input"], &shown["labels"]), (&"3x8x8".into(), &serde_json::json!(["ant", "bee"])));
    assert_eq!(
        (shown["train"].as_u64(), shown["validation"].as_u64(), shown["test"].as_u64()),
        (Some(40), Some(5), Some(5))
    );
    let sweep = r#"
name = "own"
task = { name = "images:photos", validation = 10, test = 0.2 }
[axes]
size = [8, 16]
[budget]
epochs = 1
[[model]]
arch = "convnet"
width = 4
depths = [1]
"#;
    let runs = |dir: &Workdir| -> Vec<(String, u64, u64)> {
        let plan = dir.json(&["plan", "own.toml", "--no-time", "--json"]);
        let runs = plan["runs"].as_array().expect("runs").iter();
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        runs.map(|run| (run["id"].to_string(), number(&run["io"]["width"]), number(&run["config"]["examples"])))
            .collect()
    };
    let planned = runs(dir.write("own.toml", sweep));
    assert_eq!(planned.iter().map(|run| (run.1, run.2)).collect::<Vec<_>>(), [(8, 30), (16, 30)]);
    // The same images elsewhere are the same runs; another image makes others.
    std::fs::rename(dir.path("photos"), dir.path("moved")).expect("a rename");
    dir.write("own.toml", &sweep.replace("images:photos", "images:moved"));
    assert_eq!(runs(&dir), planned);
    std::fs::remove_file(dir.path("moved/ant/0.png")).expect("a removal");
    let fewer = runs(&dir);
    assert!(fewer.iter().zip(&planned).all(|(new, old)| new.0 != old.0 && new.2 == 29), "{fewer:?}");
}

#[test]
fn what_is_missing_is_named() {
    let dir = Workdir::new();
    let stderr = dir.stderr(&["task", "show", "images:nowhere"], 2);
    assert!(stderr.contains("cannot open nowhere") && stderr.contains("hint: paths start at "), "{stderr}");
    let stderr = dir.stderr(&["task", "show", "images"], 2);
    assert!(stderr.contains("it needs a folder") && stderr.contains("images:DIR"), "{stderr}");
    let stderr = dir.stderr(&["task", "show", "rhm:x"], 2);
    assert!(stderr.contains("'rhm' takes nothing behind its name"), "{stderr}");
    let text = dir.stdout(&["task", "list"]);
    assert!(text.contains("images:DIR") && text.contains("your own"), "{text}");
    assert!(text.contains("npz:FILE"), "{text}");
    let stderr = dir.write("a.npz", "\u{80}").stderr(&["task", "show", "npz:a.npz"], 2);
    assert!(stderr.contains("a.npz is no .npz that can be read") && stderr.contains("hint: np.savez("), "{stderr}");
}
