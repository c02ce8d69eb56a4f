//! Figures fit for a paper, from plain numbers: nothing here knows where they came from. In JSON a figure is the numbers
//! that it draws.

mod canvas;
mod draw;
mod font;
mod geometry;
mod layout;
mod legend;
mod look;
mod marks;
mod sheet;
mod ticks;

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files::write_atomically;

pub use sheet::Tile;

/// One panel: curves over a scale.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    pub title: Option<String>,
    pub x: AxisSpec,
    pub y: AxisSpec,
    pub series: Vec<Series>,
    pub crossovers: Vec<Mark>,
    /// Drawn as one bold line under everything else.
    pub frontier: Option<Vec<(f64, f64)>>,
    pub references: Vec<HLine>,
    /// Sentences below the axis: what the figure shows, the most telling first.
    pub notes: Vec<String>,
    /// Small print below: what the bands are, how many seeds, which run made it.
    pub footnote: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct AxisSpec {
    pub label: String,
    /// Shown in brackets behind the label.
    pub unit: Option<String>,
    pub log: bool,
}

/// One curve: its measured points, and what was fitted to them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    pub label: String,
    /// Its place among all curves of the study, drawn or not: the same number has the same colour, marker and dashes
    /// in every figure.
    pub look: usize,
    /// (x, y); several with the same x (seeds) are welcome.
    pub points: Vec<(f64, f64)>,
    /// In order of x. Where it goes beyond the points it is drawn dotted: extrapolated.
    pub line: Vec<(f64, f64)>,
    /// (x, low, high), in order of x.
    pub band: Vec<(f64, f64, f64)>,
    /// Thin lines behind it, one for each of its sizes.
    pub sizes: Vec<Vec<(f64, f64)>>,
    /// (x, low, high): upright intervals of points.
    pub bars: Vec<(f64, f64, f64)>,
    /// Its lowest point, where that is what it is drawn for.
    pub best: Option<Best>,
    /// From 0 to 1: its colour is the one at this share of a scale, since the series are in an order.
    pub shade: Option<f64>,
}

/// A point that is marked, with an interval of its x.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Best {
    pub at: (f64, f64),
    pub interval: Option<(f64, f64)>,
}

impl Series {
    fn look(&self) -> look::Look {
        let look = look::Look::of(self.look);
        self.shade.map_or(look, |share| look::Look { ink: look::shade(share), dashes: &[], ..look })
    }
}

/// A vertical line, for example where two curves cross, with its interval shaded.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    pub x: f64,
    /// Ends outside the axis, 0 and infinity too, are drawn to its edge.
    pub interval: Option<(f64, f64)>,
    /// Who overtakes whom, and where.
    pub label: String,
    /// One that only may be there is a thin dotted line without its interval.
    pub established: bool,
}

/// A horizontal reference, for example chance.
#[derive(Clone, Debug, Serialize)]
pub struct HLine {
    pub y: f64,
    pub label: String,
}

/// Writes `figure` as its path's extension says, whole or not at all.
///
/// Values that have no place on their axis (not finite; not positive on a logarithmic one) are left out and counted
/// in the figure's small print. Errors: another extension, nothing that can be drawn, a path that cannot be written.
pub fn write(figure: &Figure, path: &Path) -> Result<()> {
    let bytes = match Format::of(path)? {
        Format::Svg => draw::figure(figure)?.svg().into_bytes(),
        Format::Png => draw::figure(figure)?.png()?,
    };
    write_atomically(path, &bytes)
}

/// Writes several figures as one, two in a row.
pub fn write_panels(figures: &[Figure], path: &Path) -> Result<()> {
    if let [figure] = figures {
        return write(figure, path);
    }
    let format = Format::of(path)?;
    let drawings = figures.iter().map(draw::figure).collect::<Result<Vec<_>>>()?;
    let panels = canvas::panels(&drawings, 2)?;
    let bytes = match format {
        Format::Svg => panels.svg().into_bytes(),
        Format::Png => panels.png()?,
    };
    write_atomically(path, &bytes)
}

/// Writes a contact sheet of `tiles` in rows of `columns`, as its path's extension says.
pub fn write_sheet(tiles: &[Tile], columns: usize, path: &Path) -> Result<()> {
    let format = Format::of(path)?;
    let sheet = sheet::sheet(tiles, columns)?;
    let bytes = match format {
        Format::Svg => sheet.svg()?.into_bytes(),
        Format::Png => sheet.png()?,
    };
    write_atomically(path, &bytes)
}

enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => {
                let stem = path.file_stem().map_or("figure".into(), |stem| stem.to_string_lossy());
                Err(Error::bad_input(format!("{}: a figure is written as .svg or .png", path.display()))
                    .hint(format!("name it {stem}.svg or {stem}.png")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic wiggle in -1..1.
    fn wiggle(index: usize) -> f64 {
        ((index as f64 * 12.9898).sin() * 43_758.545).fract()
    }

    /// A law E + A x^-alpha measured at `xs` by two seeds, with a line that goes on to three times the largest x.
    fn law(label: &str, xs: &[f64], (e, a, alpha): (f64, f64, f64), salt: usize) -> Series {
        let at = |x: f64| e + a * x.powf(-alpha);
        let points = xs
            .iter()
            .flat_map(|&x| [0, 1].map(|seed| (x, at(x) * (1.0 + 0.03 * wiggle(salt + seed + x.ln() as usize)))));
        let (low, high) = (xs[0].ln(), (3.0 * xs[xs.len() - 1]).ln());
        let grid: Vec<f64> = (0..=120).map(|k| (low + (high - low) * f64::from(k) / 120.0).exp()).collect();
        let spread = |x: f64| 0.02 + 0.03 * ((x.ln() - 0.5 * (low + high)) / (high - low)).abs();
        Series {
            label: label.to_string(),
            look: salt,
            points: points.collect(),
            line: grid.iter().map(|&x| (x, at(x))).collect(),
            band: grid.iter().map(|&x| (x, at(x) * (1.0 - spread(x)), at(x) * (1.0 + spread(x)))).collect(),
            ..Series::default()
        }
    }

    /// Curves in the order of the study.
    fn study(mut series: Vec<Series>) -> Vec<Series> {
        series.iter_mut().enumerate().for_each(|(look, series)| series.look = look);
        series
    }

    const SIZES: [f64; 5] = [250.0, 1000.0, 4000.0, 16_000.0, 48_000.0];

    fn axis(label: &str, unit: &str) -> AxisSpec {
        AxisSpec { label: label.into(), unit: Some(unit.into()), log: true }
    }

    fn quickstart() -> Figure {
        Figure {
            title: Some("Fashion-MNIST: convolution against attention".into()),
            x: axis("Training examples", ""),
            y: axis("Test loss", "nats per example"),
            series: study(vec![law("convnet", &SIZES, (0.2, 6.0, 0.42), 0), law("vit", &SIZES, (0.12, 6.4, 0.355), 7)]),
            crossovers: vec![Mark {
                x: 40_000.0,
                interval: Some((24_000.0, 71_000.0)),
                label: "vit overtakes at 40k (24k to 71k)".into(),
                established: true,
            }],
            footnote: Some(
                "Bands: 95% intervals over 1000 bootstrap resamples of runs. \
                 Two seeds a point, learning rate tuned on validation."
                    .into(),
            ),
            ..Figure::default()
        }
    }

    const FOURTEEN: [&str; 14] = [
        "convnet",
        "convnext",
        "vit",
        "swin",
        "mixer",
        "resmlp",
        "mlp",
        "perceiver",
        "recurrent",
        "moe",
        "soft moe",
        "plain",
        "vit, no residual",
        "hybrid",
    ];

    /// Laws that cross one another at `crossings` places, the first third of which are established.
    fn many_curves(names: &[&str], crossings: usize) -> Figure {
        let curve = |(k, name): (usize, &&str)| {
            let spread = k as f64 / names.len() as f64;
            law(name, &SIZES, (0.32 - 0.25 * spread, 3.2 + 3.0 * spread + 0.3 * wiggle(k), 0.4 - 0.03 * spread), k)
        };
        let mark = |k: usize| {
            let x = 700.0 * 1.9f64.powf(6.0 * k as f64 / crossings as f64);
            let (a, b) = (names[(k + 1) % names.len()], names[k % names.len()]);
            let established = 3 * k <= crossings;
            let label = match established {
                true => format!("{a} overtakes {b} at {x:.0} ({:.0} to {:.0})", 0.7 * x, 1.6 * x),
                false => format!("{a} may overtake {b} near {x:.0} ({b} not identified)"),
            };
            Mark { x, interval: Some((0.7 * x, 1.6 * x)), label, established }
        };
        let crossovers: Vec<Mark> = (0..crossings).map(mark).collect();
        Figure {
            series: names.iter().enumerate().map(curve).collect(),
            notes: crossovers.iter().map(|mark| format!("{}.", mark.label)).collect(),
            crossovers,
            ..quickstart()
        }
    }

    /// Figures that try everything; `CROSSOVER_FIGURES=DIR cargo test --release plot::` writes them to look at.
    fn gallery() -> Vec<(&'static str, Figure)> {
        let flops: Vec<f64> = (0..7).map(|k| 10f64.powi(14 + k)).collect();
        let mut wide = Figure { x: axis("Training compute", "FLOPs"), title: Some("Compute".into()), ..quickstart() };
        wide.series = vec![
            law("convnet", &flops, (0.2, 400.0, 0.19), 1),
            law("vit", &flops, (0.1, 700.0, 0.2), 2),
            law("mixer", &flops, (0.25, 900.0, 0.2), 3),
            law("perceiver", &flops, (0.3, 1200.0, 0.21), 4),
        ];
        wide.crossovers = Vec::new();
        wide.frontier =
            Some(wide.series[0].line.iter().zip(&wide.series[1].line).map(|(a, b)| (a.0, a.1.min(b.1))).collect());
        for series in &mut wide.series {
            let worse = |share: f64| series.points.iter().map(|&(x, y)| (x, y * (1.0 + share))).collect();
            series.sizes = [0.1, 0.2, 0.3].map(worse).into();
        }
        wide.references = vec![HLine { y: 2.303, label: "chance, ln 10".into() }];

        let single = Figure {
            title: None,
            series: vec![law("vit", &SIZES, (0.3, 1.0, 0.5), 3)],
            crossovers: vec![],
            footnote: None,
            ..quickstart()
        };

        let mut eight = quickstart();
        eight.series = (0..8)
            .map(|k| law(&format!("arch number {k}"), &SIZES, (0.1, 3.0 + 0.8 * k as f64, 0.36 + 0.01 * k as f64), k))
            .collect();

        let mut long = quickstart();
        long.title = Some(
            "A title that goes on, because the question it answers has many parts, with <tags> & \"quotes\"".into(),
        );
        long.y.label = "Cross-entropy on the held-out test split after the last step, averaged over everything".into();
        long.series[0].label =
            "convnet with basic blocks, width 16, stem small, trained with a cosine schedule & warmup".into();
        long.series[1].label =
            "vit <patch 7, width 64, depth 4, heads 4, sin-cos positions, mean pooling, no dropout>".into();
        long.crossovers.push(Mark {
            x: 900.0,
            interval: Some((0.0, 1500.0)),
            label: "and earlier the other way round, at 900 (up to 1.5k)".into(),
            established: true,
        });
        long.crossovers.push(Mark { x: 9e6, interval: None, label: "again at 9M".into(), established: false });

        let mut hostile = quickstart();
        hostile.series[0].points.extend([(f64::NAN, 1.0), (100.0, 0.0), (0.0, 0.5), (1000.0, f64::INFINITY)]);
        hostile.series[0].line.push((2e5, 1e-40));
        hostile.series[1].band[60] = (hostile.series[1].band[60].0, 0.0, f64::INFINITY);
        hostile.crossovers.push(Mark {
            x: f64::NAN,
            interval: Some((f64::NAN, 1.0)),
            label: "nowhere".into(),
            established: true,
        });

        let mut cloud = quickstart();
        let many: Vec<f64> = (0..80).map(|k| 250.0 * 1.07f64.powi(k)).collect();
        cloud.series =
            study(vec![law("convnet", &many, (0.2, 6.0, 0.42), 0), law("vit", &many, (0.12, 6.4, 0.355), 7)]);
        let mut linear = quickstart();
        (linear.x.log, linear.y.log) = (false, false);
        let mut point = quickstart();
        point.series = vec![Series { label: "one point".into(), points: vec![(1000.0, 0.3)], ..Series::default() }];
        point.crossovers.clear();
        let mut chinese = many_curves(&["卷积网络", "视觉变换器", "ニューラルネット", "신경망", "вёсла и ζεύξη"], 3);
        chinese.title = Some("卷积与注意力: who overtakes whom (谁超过谁)".into());
        chinese.y.label = "测试损失".into();
        let spelled =
            |k: usize| format!("resnet18_width64_depth4_cosine_lr0.001_warmup500_labelsmoothing0.1_run{k:02}");
        let names: Vec<String> = (0..14).map(spelled).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        vec![
            ("quickstart", quickstart()),
            ("five", many_curves(&["convnet", "vit", "mixer", "perceiver", "recurrent"], 4)),
            ("fourteen", many_curves(&FOURTEEN, 30)),
            ("forty", many_curves(&FOURTEEN.repeat(3)[..40], 60)),
            ("alike", many_curves(&names, 2)),
            ("chinese", chinese),
            ("wide", wide),
            ("single", single),
            ("eight", eight),
            ("long", long),
            ("hostile", hostile),
            ("cloud", cloud),
            ("linear", linear),
            ("point", point),
        ]
    }

    #[test]
    fn every_figure_is_drawn_and_needs_no_font() {
        let folder = std::env::var_os("CROSSOVER_FIGURES").map(std::path::PathBuf::from);
        for (name, figure) in gallery() {
            let svg = draw::figure(&figure).unwrap().svg();
            if let Some(folder) = &folder {
                write(&figure, &folder.join(format!("{name}.svg"))).unwrap();
                write(&figure, &folder.join(format!("{name}.png"))).unwrap();
            }
            resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
            for foreign in ["<text", "font", "href", "<image", "@import", "NaN", "inf"] {
                let drawn = &svg[svg.find("</desc>").unwrap()..];
                assert!(!drawn.contains(foreign), "{name} contains {foreign}");
            }
        }
    }

    /// Words and ink boxes of every text of a drawn figure.
    fn texts(figure: &Figure) -> Vec<(String, resvg::usvg::Rect)> {
        fn gather(group: &resvg::usvg::Group, found: &mut Vec<(String, resvg::usvg::Rect)>) {
            for node in group.children() {
                match node {
                    resvg::usvg::Node::Group(group) => gather(group, found),
                    resvg::usvg::Node::Text(text) => {
                        let words = text.chunks().iter().map(|chunk| chunk.text()).collect::<String>();
                        found.push((words.trim().to_string(), text.flattened().abs_bounding_box()));
                    }
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        gather(draw::figure(figure).unwrap().root(), &mut found);
        found
    }

    /// All that is drawn keeps inside the sheet: no label is cut off.
    #[test]
    fn nothing_is_cut_off() {
        for (name, figure) in gallery() {
            let tree = resvg::usvg::Tree::from_str(&draw::figure(&figure).unwrap().svg(), &Default::default()).unwrap();
            let ink = tree.root().abs_bounding_box();
            let (width, height) = (tree.size().width() + 0.2, tree.size().height() + 0.2);
            assert!(
                ink.left() > -0.2 && ink.top() > -0.2 && ink.right() < width && ink.bottom() < height,
                "{name}: {ink:?}"
            );
        }
    }

    #[test]
    fn every_label_is_drawn_and_no_text_covers_another() {
        for (name, figure) in gallery() {
            let texts = texts(&figure);
            let all: String = texts.iter().flat_map(|(words, _)| words.chars()).filter(|c| *c != ' ').collect();
            for label in figure.series.iter().map(|series| &series.label) {
                // The end of a name that is too long for its place is still there.
                let end: String = label.chars().filter(|c| *c != ' ').rev().take(12).collect();
                assert!(all.contains(&end.chars().rev().collect::<String>()), "{name}: {label}");
            }
            for (index, (words, ink)) in texts.iter().enumerate() {
                assert!(ink.width() > 0.0 && ink.height() > 0.0, "{name}: no ink for {words:?}");
                let covers = |other: &resvg::usvg::Rect| {
                    let across = ink.left() < other.right() && other.left() < ink.right();
                    across && ink.top() < other.bottom() && other.top() < ink.bottom()
                };
                let covered = texts[index + 1..].iter().find(|(_, other)| covers(other));
                assert!(covered.is_none(), "{name}: {words:?} on {covered:?}");
            }
        }
    }

    #[test]
    fn a_curve_looks_alike_whatever_else_is_drawn() {
        let all = many_curves(&FOURTEEN, 0);
        let colour = |index: usize| format!("{:06x}", look::Look::of(index).ink.0);
        let known: Vec<String> = (0..16).map(colour).collect();
        let colours = |figure: &Figure| {
            let svg = draw::figure(figure).unwrap().svg();
            let colours = svg.split("=\"#").skip(1).map(|rest| rest[..6].to_string());
            colours.filter(|colour| known.contains(colour)).collect::<std::collections::BTreeSet<_>>()
        };
        for index in 0..14 {
            let alone = colours(&Figure { series: vec![all.series[index].clone()], ..all.clone() });
            assert_eq!(alone.into_iter().collect::<Vec<_>>(), [colour(index)]);
        }
        assert_eq!(colours(&all).len(), 14);
    }

    /// Dozens of crossovers: the established ones before others, a dozen in all, numbered; the rest is counted.
    #[test]
    fn many_crossovers_do_not_bury_the_curves() {
        let mut figure = many_curves(&FOURTEEN, 30);
        figure.crossovers.reverse();
        let layout = layout::Layout::of(&figure).unwrap();
        let drawn = &layout.marks.drawn;
        assert!(layout.marks.numbered && drawn.len() == 12);
        assert_eq!(drawn.iter().filter(|drawn| drawn.mark.established).count(), 11);
        assert!(drawn.windows(2).all(|pair| pair[0].mark.x < pair[1].mark.x));
        let words: Vec<String> = texts(&figure).into_iter().map(|(words, _)| words).collect();
        assert!((1..=12).all(|number| words.contains(&number.to_string())), "{words:?}");
        assert!(words.iter().any(|words| words == &drawn[3].mark.label), "{words:?}");
        assert!(layout.footnote.join(" ").contains("And 18 more crossovers not drawn: crossover fit."));
        assert!(layout.footnote.join(" ").contains("Not drawn: the bands of 14 curves."));
        assert_eq!(layout.notes.len(), 9);
        assert_eq!(layout.notes[8], "and 22 more pairs: crossover fit");
    }

    #[test]
    fn what_only_may_be_there_is_dotted_and_not_shaded() {
        let mut figure = quickstart();
        let shade = |figure: &Figure| draw::figure(figure).unwrap().svg().matches("fill=\"#555555\"").count();
        let strokes = |figure: &Figure, ink: &str| draw::figure(figure).unwrap().svg().matches(ink).count();
        assert!(shade(&figure) >= 1 && strokes(&figure, "stroke=\"#767676\"") == 0);
        figure.crossovers[0].established = false;
        figure.crossovers[0].label = String::new();
        assert!(shade(&figure) == 0 && strokes(&figure, "stroke=\"#767676\"") > 50);
    }

    #[test]
    fn characters_that_no_font_has_are_told() {
        let mut figure = quickstart();
        figure.series[0].label = "🚀 卷积".into();
        let words = layout::Layout::of(&figure).unwrap().footnote.join(" ");
        assert!(words.ends_with("□ stands for a character that the figure's fonts lack."), "{words}");
        assert!(texts(&figure).iter().any(|(words, _)| words == "□ 卷积"));
    }

    #[test]
    fn the_legend_covers_no_point_and_no_mark_label_another() {
        let mut inside = 0;
        for (name, figure) in gallery() {
            let layout = layout::Layout::of(&figure).unwrap();
            let place = layout.legend_place.grown(3.0);
            for point in figure.series.iter().flat_map(|series| layout.pixels(&series.points)) {
                assert!(!place.contains(point), "{name}: the legend covers {point:?}");
            }
            let below = place.top > layout.plot.bottom && place.bottom <= layout.size.1 + 3.0;
            let beside = place.left >= layout.plot.right - 3.0 && place.right <= layout.size.0 + 3.0;
            assert!(
                below || beside || layout.plot.holds(&layout.legend_place),
                "{name}: the legend lies across the axis"
            );
            inside += usize::from(!below && !beside);
            for (index, mark) in layout.marks.drawn.iter().enumerate() {
                let mut rest = layout.marks.drawn[index + 1..].iter().filter(|other| other.row == mark.row);
                let room = |other: &str| 0.5 * (layout::TICK.width(&mark.text) + layout::TICK.width(other));
                assert!(rest.all(|other| (other.middle - mark.middle).abs() > room(&other.text)), "{name}: {mark:?}");
            }
        }
        assert!(inside >= 5, "the legend belongs inside where it fits: {inside}");
    }

    #[test]
    fn a_png_has_its_stated_size_and_resolution() {
        let figure = quickstart();
        let height = (layout::Layout::of(&figure).unwrap().size.1 * 20.0).round() / 20.0;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("figure.PNG");
        write(&figure, &path).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let info = reader.info();
        assert_eq!((info.width, f64::from(info.height)), (1750, (height * 300.0 / 96.0).round()));
        assert_eq!(info.pixel_dims.unwrap().xppu, 11_811);
        let blue = pixels.chunks_exact(3).filter(|rgb| **rgb == [0x00, 0x72, 0xb2]).count();
        let vermilion = pixels.chunks_exact(3).filter(|rgb| **rgb == [0xd5, 0x5e, 0x00]).count();
        assert!(blue > 5000 && vermilion > 3000, "{blue} {vermilion}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let error = write(&quickstart(), Path::new("out/law.pdf")).unwrap_err();
        assert_eq!(error.message, "out/law.pdf: a figure is written as .svg or .png");
        assert_eq!((error.hint.as_deref(), error.exit_code()), (Some("name it law.svg or law.png"), 2));
        let mut empty = quickstart();
        for points in [vec![], vec![(f64::NAN, 1.0), (-1.0, 1.0), (10.0, 0.0)]] {
            empty.series = vec![Series { label: "none".into(), points, ..Series::default() }];
            let error = write(&empty, Path::new("figure.svg")).unwrap_err();
            assert!(error.message.contains("no point or line that can be drawn"), "{}", error.message);
        }
        assert!(!Path::new("figure.svg").exists());
    }

    #[test]
    fn labels_are_escaped_and_what_is_left_out_is_counted() {
        let gallery: std::collections::BTreeMap<_, _> = gallery().into_iter().collect();
        let svg = draw::figure(&gallery["long"]).unwrap().svg();
        let document = resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        let text = |tag: &str| document.descendants().find(|node| node.has_tag_name(tag)).unwrap().text().unwrap();
        assert_eq!(text("title"), gallery["long"].title.as_deref().unwrap());
        assert!(text("desc").contains("vit <patch 7"), "{}", text("desc"));
        let words = layout::Layout::of(&gallery["hostile"]).unwrap().footnote.join(" ");
        assert!(words.contains("Not drawn: 4 points (not finite") && words.contains("1 crossover"), "{words}");
    }
}
