//! Points that no law can be told from, or not honestly: each is answered by an error or a verdict, never by a panic or
//! by a number alone. One snapshot shows every answer.

use crate::workdir::Workdir;

/// A good curve over five scales with two seeds.
const GOOD: &str = "arch,examples,loss,seed
vit,250,2.42,0
vit,250,2.38,1
vit,1000,1.46,0
vit,1000,1.43,1
vit,4000,0.98,0
vit,4000,0.97,1
vit,16000,0.731,0
vit,16000,0.742,1
vit,64000,0.622,0
vit,64000,0.617,1
";

/// Compute and size, for profiles: budgets 1e15 and 1e16, sizes 1e5 to 3.2e6.
fn profile(loss: impl Fn(f64, f64) -> f64) -> String {
    let mut text = String::from("n,flops,loss\n");
    for compute in [1e15, 1e16] {
        for size in [1e5, 2e5, 4e5, 8e5, 1.6e6, 3.2e6] {
            text += &format!("{size},{compute},{:.6}\n", loss(f64::ln(size / 6e5), f64::ln(compute / 1e15)));
        }
    }
    text
}

/// Without a header: rows of (scale, loss), one seed each.
fn curve(rows: &[(f64, f64)]) -> String {
    rows.iter().fold("examples,loss\n".into(), |text, (x, loss)| format!("{text}{x},{loss}\n"))
}

fn surface(rows: impl Iterator<Item = (f64, f64)>) -> String {
    let loss = |n: f64, d: f64| 1.8 + 480.0 * n.powf(-0.35) + 2100.0 * d.powf(-0.37);
    rows.enumerate().fold("N,D,loss\n".into(), |text, (i, (n, d))| {
        let noise = 1.0 + 0.002 * ((i * 7 % 5) as f64 - 2.0);
        format!("{text}{n},{d},{:.5}\n", loss(n, d) * noise)
    })
}

/// Name, flags beside `--csv FILE`, the file.
fn cases() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let good = |from: &str, to: &str| GOOD.replacen(from, to, 1).into_bytes();
    let line = |n: i32| (1e6 * 4f64.powi(n), 1e8 * 4f64.powi(n));
    vec![
        ("good", "", text(GOOD)),
        ("empty file", "", text("")),
        ("blank lines only", "", text("\n\n\r\n")),
        ("header only", "", text("arch,examples,loss\n")),
        ("no column of losses", "", good("loss", "score")),
        ("metric misspelt", "--metric los", text(GOOD)),
        ("no column of scales", "", good("examples", "width")),
        ("scale not in the file", "--x compute", text(GOOD)),
        ("unnamed columns", "", good("arch,examples,loss,seed", ",,loss,")),
        ("a column twice", "", good("seed", "Loss")),
        ("text in a number column", "", good("1000,1.46", "1000,low")),
        ("decimal commas", "", text("examples;loss\n250;2,4\n1000;1,4\n")),
        ("a fraction as seed", "", good("2.42,0", "2.42,0.5")),
        ("a short row", "", good("vit,1000,1.46,0", "vit,1000,1.46")),
        ("a long row", "", good("vit,1000,1.46,0", "vit,1000,1.46,0,9")),
        ("an open quote", "", good("vit,1000", "\"vit,1000")),
        ("quoted fields", "", text(&GOOD.replace("vit", "\"vit, small \"\"S\"\"\""))),
        ("byte order mark and CRLF", "", format!("\u{feff}{}", GOOD.replace('\n', "\r\n")).into_bytes()),
        ("UTF-16", "", [b"\xff\xfe".to_vec(), GOOD.bytes().flat_map(|byte| [byte, 0]).collect()].concat()),
        ("bytes that are no text", "", [GOOD.as_bytes(), b"v\xff\xfet,9,9,9\n"].concat()),
        ("two points", "", curve(&[(100.0, 2.0), (1000.0, 1.0)]).into()),
        ("equal scales", "", curve(&[(100.0, 2.0), (100.0, 1.0), (100.0, 1.5), (100.0, 1.6), (100.0, 1.7)]).into()),
        ("three scales for three parameters", "", curve(&[(1e2, 2.0), (1e3, 1.0), (1e4, 0.7), (1e4, 0.8)]).into()),
        (
            "losses of zero, below zero and NaN",
            "",
            good("2.42,0\nvit,250,2.38,1\nvit,1000,1.46", "0,0\nvit,250,-2,1\nvit,1000,nan"),
        ),
        ("no usable loss", "", curve(&[(1e2, -2.0), (1e3, 0.0), (1e4, f64::NAN), (1e5, f64::INFINITY)]).into()),
        ("a missing loss", "", good("1.46,0", ",0")),
        (
            "scales of zero, below zero, infinite",
            "",
            text(&GOOD.replace(",250,", ",0,").replace(",1000,", ",-1,").replace(",4000,", ",inf,")),
        ),
        ("one seed", "", curve(&[(1e2, 2.1), (1e3, 1.2), (1e4, 0.81), (1e5, 0.7), (1e6, 0.64)]).into()),
        (
            "one architecture, no arch column",
            "--bootstrap 0",
            curve(&[(1e2, 2.0), (1e3, 1.2), (1e4, 0.8), (1e5, 0.7)]).into(),
        ),
        ("all losses equal", "", curve(&[(1e2, 0.5), (1e3, 0.5), (1e4, 0.5), (1e5, 0.5), (1e6, 0.5)]).into()),
        ("rising losses", "", curve(&[(1e2, 1.0), (1e3, 1.21), (1e4, 1.39), (1e5, 1.8), (1e6, 2.2)]).into()),
        ("noise without a trend", "", curve(&[(1e2, 1.0), (1e3, 1.1), (1e4, 0.9), (1e5, 1.05), (1e6, 0.97)]).into()),
        ("an outlier", "", good("4000,0.97", "4000,3.97")),
        ("an outlier left out", "--exclude-top-loss 1", good("4000,0.97", "4000,3.97")),
        ("everything left out", "--exclude-top-loss 100", text(GOOD)),
        ("rows that repeat", "", text(&format!("{GOOD}{}", &GOOD[GOOD.find('\n').map_or(0, |at| at + 1)..]))),
        ("checkpoints of two runs", "", text(&GOOD.replace("seed", "run"))),
        (
            "huge scales",
            "",
            text(&GOOD.replace(",250,", ",1e300,").replace(",1000,", ",4e302,").replace(",4000,", ",1e305,")),
        ),
        (
            "tiny losses",
            "",
            curve(&[(1e2, 3e-300), (1e3, 1e-300), (1e4, 3.1e-301), (1e5, 1e-301), (1e6, 3e-302)]).into(),
        ),
        ("numbers that overflow", "", good(",250,2.42", ",1e999,2.42")),
        ("a good curve and a short one", "", [GOOD.as_bytes(), b"mlp,250,2.9,0\nmlp,1000,2.1,0\n"].concat()),
        ("curves without a scale in common", "", text(&format!("{GOOD}{}", GOOD[24..].replace("vit,", "mlp,900")))),
        ("the same curve twice", "", text(&format!("{GOOD}{}", GOOD[24..].replace("vit", "copy")))),
        ("more hidden than there is", "--law auto --holdout 9", text(GOOD)),
        ("auto", "--law auto", text(GOOD)),
        ("too few resamples", "--bootstrap 5", text(GOOD)),
        ("no such law", "--law chinchila", text(GOOD)),
        ("a surface without sizes", "--law chinchilla", text(GOOD)),
        ("a surface along a line", "--law chinchilla", surface((0..8).map(line)).into()),
        ("a surface of five points", "--law chinchilla", surface((0..5).map(line)).into()),
        ("a frontier of one point", "--law frontier", text("flops,loss\n1e15,1\n1e16,2\n1e17,3\n1e18,4\n")),
        ("a frontier", "--law frontier", frontier().into()),
        ("a frontier with residuals", "--law frontier --resampling residuals", frontier().into()),
        (
            "profiles",
            "--law isoflop",
            profile(|n, c| 2.0 + 0.1 * (n - 0.3 * c).powi(2) + 0.01 * (5.0 * n).sin()).into(),
        ),
        ("profiles by Akima", "--law isoflop-akima", profile(|n, c| 2.0 + 0.1 * (n - 0.3 * c).powi(2)).into()),
        ("concave profiles", "--law isoflop", profile(|n, _| 2.0 - 0.1 * n * n).into()),
        ("profiles that fall", "--law isoflop", profile(|n, _| 2.0 + 0.01 * (n - 9.0).powi(2)).into()),
        ("profiles of two sizes", "--law isoflop", text("n,flops,loss\n1,9,3\n2,9,2\n1,99,2\n2,99,1\n")),
        ("profiles without sizes", "--law isoflop", text("flops,loss\n9,3\n99,2\n")),
    ]
}

fn frontier() -> String {
    let mut text = String::from("flops,loss\n");
    for i in 0..60 {
        let compute = 1e15 * 1.3f64.powi(i);
        let excess = [0.0, 0.3, 0.1, 0.6][i as usize % 4] + 0.01 * f64::from(i * 7 % 5);
        text += &format!("{compute:e},{:.4}\n", 0.4 + 900.0 * compute.powf(-0.2) + excess);
    }
    text
}

#[test]
fn every_degenerate_file_is_answered() {
    let mut shown = String::new();
    for (name, flags, file) in cases() {
        let dir = Workdir::new();
        std::fs::write(dir.path("points.csv"), file).expect("written");
        let mut args = vec!["fit", "--csv", "points.csv"];
        if !flags.contains("--bootstrap") {
            args.extend(["--bootstrap", "199"]);
        }
        args.extend(flags.split_whitespace());
        let output = dir.output(&args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("no signal ended it");
        assert!(code <= 2, "{name}: exit code {code}: {}", text(&output.stderr));
        let args = args[1..].join(" ");
        shown += &format!("== {name}: fit {args}\nexit {code}\n{}{}\n", text(&output.stdout), text(&output.stderr));
    }
    insta::assert_snapshot!(shown);
}
