//! Sweeps on a user's own files of other programs' formats.

use std::io::{Cursor, Write};

use crate::workdir::Workdir;

/// np.save of an array in C order.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{:<117}\n", format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"));
    [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), values].concat()
}

/// Grey 6x6 images of noise with a bright row or a bright column, as MedMNIST names and shapes them.
pub fn npz(dir: &Workdir, name: &str) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (split, n) in [("train", 120usize), ("val", 40), ("test", 40)] {
        let label = |image: usize| (image * 7 + n) / 3 % 2;
        let images: Vec<u8> = (0..n * 36)
            .map(|at| {
                let (image, row, column) = (at / 36, at / 6 % 6, at % 6);
                let noise = (at * at * 31 + at * 17 + n) % 97;
                let bright = if label(image) == 0 { row == image % 6 } else { column == image % 6 };
                (noise + if bright { 90 } else { 0 }) as u8
            })
            .collect();
        let labels: Vec<u8> = (0..n).map(|image| label(image) as u8).collect();
        for (what, array) in [
            ("images", npy("|u1", &format!("({n}, 6, 6)"), &images)),
            ("labels", npy("|u1", &format!("({n}, 1)"), &labels)),
        ] {
            zip.start_file(format!("{split}_{what}.npy"), zip::write::SimpleFileOptions::default()).expect("a member");
            zip.write_all(&array).expect("a member");
        }
    }
    std::fs::write(dir.path(name), zip.finish().expect("an archive").into_inner()).expect("a file");
}

const SWEEP: &str = r#"
name = "arrays"
task = { name = "npz:arrays.npz" }
[axes]
examples = [60, 120]
shuffle = [false, true]
resolution = [3, 6]
[budget]
steps = 12
[train]
batch = 16
evals = 2
[[model]]
arch = "mlp"
width = 8
depth = 1
"#;

#[test]
fn arrays_are_described_and_planned() {
    let dir = Workdir::new();
    npz(&dir, "arrays.npz");
    let shown = dir.json(&["task", "show", "npz:arrays.npz", "-o", "sheet.png", "--json"]);
    assert_eq!((&shown["input"], &shown["labels"]), (&"1x6x6".into(), &serde_json::json!(["0", "1"])));
    let splits = ["train", "validation", "test"].map(|split| shown[split].as_u64());
    assert_eq!(splits, [Some(120), Some(40), Some(40)]);
    let plan = dir.write("arrays.toml", SWEEP).json(&["plan", "arrays.toml", "--no-time", "--json"]);
    assert_eq!(plan["runs"].as_array().map(Vec::len), Some(8));
    let text = dir.stdout(&["task", "show", "npz:arrays.npz", "--set", "transpose=true"]);
    assert!(text.contains("transpose = true") && text.contains("swap height and width"), "{text}");
    let stderr = dir.stderr(&["task", "show", "npz:arrays.npz", "--set", "first_lable=1"], 2);
    assert!(stderr.contains("has no key 'first_lable'") && stderr.contains("'first_label'"), "{stderr}");
}

/// A set that stays in its file gives the batches, normalisation and transforms of one that is held.
#[test]
fn a_set_that_is_too_large_to_hold_trains_to_the_same_results() {
    let exported = |hold: Option<&str>| {
        let dir = Workdir::new();
        npz(&dir, "arrays.npz");
        let mut command = dir.write("arrays.toml", SWEEP).command(&["run", "arrays.toml", "--slots", "1"]);
        let output = command.envs(hold.map(|bytes| ("CROSSOVER_HOLD_BYTES", bytes))).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        dir.stdout(&["export", "arrays", "--format", "csv", "--no-times"])
    };
    let held = exported(None);
    assert_eq!(held.lines().filter(|line| line.contains(",12,test_loss,")).count(), 8, "{held}");
    assert_eq!(exported(Some("0")), held);
}
