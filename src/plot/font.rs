//! Text before it is drawn: the bundled fonts, how wide a line is in them, and how long ones are broken or shortened.
//!
//! Inter has the Latin, Greek and Cyrillic scripts. What it lacks is taken from Droid Sans Fallback (Chinese, Japanese,
//! Korean), and what neither has becomes a box. Never a system font: a figure looks alike on every machine.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use ab_glyph::{Font, FontRef};
use plotters::prelude::{FontDesc, FontFamily, FontStyle};
use plotters::style::register_font;
use resvg::usvg::fontdb::{Database, Source};

pub const FAMILY: &str = "Inter";
const FALLBACK: &str = "Droid Sans Fallback";
static REGULAR: &[u8] = include_bytes!("../../assets/Inter-Regular.otf");
static SEMIBOLD: &[u8] = include_bytes!("../../assets/Inter-SemiBold.otf");
static PACKED: &[u8] = include_bytes!("../../assets/DroidSansFallback.ttf.gz");

/// plotters counts in whole units; this many of them make a pixel, so that nothing is visibly rounded.
pub const UNITS: f64 = 20.0;
/// plotters divides a font's size by this to get its em.
const EM: f64 = 1.24;
/// Stands for a character that no bundled font has.
pub const BOX: char = '□';
/// Around a run of the fallback font, until the SVG is written: no text has them, since `printable` takes them out.
const OPEN: char = '\u{f8fe}';
const CLOSE: char = '\u{f8ff}';
/// A longer text is shortened before it is measured.
const MOST_CHARS: usize = 1200;

/// Size in pixels of the em.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type {
    pub size: f64,
    pub bold: bool,
}

impl Type {
    pub const fn regular(size: f64) -> Type {
        Type { size, bold: false }
    }

    pub const fn bold(size: f64) -> Type {
        Type { size, bold: true }
    }

    pub fn font(self) -> FontDesc<'static> {
        self.of_family(FAMILY)
    }

    fn of_family(self, family: &'static str) -> FontDesc<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        FontDesc::new(FontFamily::Name(family), self.size * UNITS * EM, style)
    }

    /// Width of a line of text, in pixels.
    pub fn width(self, text: &str) -> f64 {
        let run_width = |(script, run): &(Script, String)| {
            let family = if *script == Script::Inter { FAMILY } else { FALLBACK };
            let measured = self.of_family(family).box_size(run);
            measured.map_or(0.6 * self.size * run.chars().count() as f64, |(width, _)| f64::from(width) / UNITS)
        };
        runs(&printable(text)).iter().map(run_width).sum()
    }

    /// Lines no wider than `width`, broken at spaces; a word that alone is too wide is broken behind punctuation,
    /// between ideographs, and only then anywhere.
    pub fn wrap(self, text: &str, width: f64) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut push = |piece: &str, glue: &str| {
            let last = lines.last_mut().expect("starts with a line and only grows");
            let joined = if last.is_empty() { piece.to_string() } else { format!("{last}{glue}{piece}") };
            if last.is_empty() || self.width(&joined) <= width {
                *last = joined;
            } else {
                lines.push(piece.to_string());
            }
        };
        for word in text.split_whitespace() {
            if self.width(word) <= width {
                push(word, " ");
                continue;
            }
            let mut glue = " ";
            for piece in pieces(word) {
                if self.width(&piece) <= width {
                    push(&piece, glue);
                } else {
                    piece.chars().enumerate().for_each(|(at, c)| push(&c.to_string(), if at == 0 { glue } else { "" }));
                }
                glue = "";
            }
        }
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// As `wrap`, in at most so many lines: of a longer text the middle is left out.
    pub fn wrap_within(self, text: &str, width: f64, most_lines: usize) -> Vec<String> {
        let chars: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
        if chars.len() <= MOST_CHARS {
            let lines = self.wrap(text, width);
            if lines.len() <= most_lines {
                return lines;
            }
        }
        let shortened = |kept: usize| {
            let (head, tail) = (kept.div_ceil(2), kept / 2);
            let (head, tail) = (&chars[..head], &chars[chars.len() - tail..]);
            let text: String = head.iter().chain(&['…']).chain(tail).collect();
            self.wrap(&text, width)
        };
        // The most characters that fit: more of them never take fewer lines, up to where a line breaks.
        let (mut fits, mut too_many) = (1, chars.len().min(MOST_CHARS));
        while too_many - fits > 1 {
            let middle = (fits + too_many) / 2;
            if shortened(middle).len() <= most_lines {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        shortened(fits)
    }

    /// As `wrap_within`, for names that a reader must tell apart: of names that would be shortened to the same, the
    /// part that they share is left out, or nothing where that does not help.
    pub fn wrap_apart(self, names: &[&str], width: f64, most_lines: usize) -> Vec<Vec<String>> {
        let short: Vec<_> = names.iter().map(|name| self.wrap_within(name, width, most_lines)).collect();
        let twins = |lines: &[Vec<String>], of: usize| {
            let own = lines[of].clone();
            let same = (0..names.len()).filter(move |&other| names[other] != names[of]);
            same.filter(|&other| lines[other] == own).collect::<Vec<_>>()
        };
        let from_difference = |index: usize| {
            let shared =
                twins(&short, index).into_iter().map(|other| common_start(names[index], names[other])).min()?;
            let rest: String = names[index].chars().skip(word_start(names[index], shared)).collect();
            Some(self.wrap_within(&format!("…{rest}"), width, most_lines))
        };
        let second: Vec<_> =
            (0..names.len()).map(|index| from_difference(index).unwrap_or_else(|| short[index].clone())).collect();
        let last = |index: usize| match twins(&second, index).is_empty() {
            true => second[index].clone(),
            false => self.wrap(names[index], width),
        };
        (0..names.len()).map(last).collect()
    }
}

fn common_start(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Where the part begins that the character at `at` belongs to, or a little before that character in a long one.
fn word_start(name: &str, at: usize) -> usize {
    const NEAR: usize = 12;
    let before: Vec<char> = name.chars().take(at).collect();
    let near = before.len().saturating_sub(NEAR);
    let breaks = before[near..].iter().rposition(|&c| c.is_whitespace() || breaks_after(c));
    breaks.map_or(near, |position| near + position + 1)
}

fn breaks_after(c: char) -> bool {
    matches!(c, '-' | '_' | '/' | ',' | ';' | ':' | '=' | '+') || c >= '\u{2e80}'
}

/// Parts of a word at whose ends a line may break.
fn pieces(word: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let last = pieces.last_mut().expect("starts with a piece and only grows");
        last.push(c);
        if breaks_after(c) {
            pieces.push(String::new());
        }
    }
    pieces
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    Inter,
    Fallback,
}

/// Which bundled font has a character, if any.
fn script(c: char) -> Option<Script> {
    let has = |face: Option<&Face>| face.is_some_and(|face| face.has(c));
    if has(inter()) { Some(Script::Inter) } else { has(fallback()).then_some(Script::Fallback) }
}

/// Stretches of printable text in one font each.
fn runs(text: &str) -> Vec<(Script, String)> {
    let mut runs: Vec<(Script, String)> = Vec::new();
    for c in text.chars() {
        let script = script(c).unwrap_or(Script::Inter);
        match runs.last_mut() {
            Some((last, run)) if *last == script => run.push(c),
            _ => runs.push((script, c.to_string())),
        }
    }
    runs
}

/// Text as `spans` expects it in the SVG.
pub fn marked(text: &str) -> String {
    let mark = |(script, run): (Script, String)| match script {
        Script::Inter => run,
        Script::Fallback => format!("{OPEN}{run}{CLOSE}"),
    };
    runs(&printable(text)).into_iter().map(mark).collect()
}

/// Puts each run of the fallback font into an element of its own. Left to itself, usvg looks for missing characters in
/// other fonts too, but gives up where those make another number of glyphs of the text.
pub fn spans(svg: &str) -> String {
    svg.replace(OPEN, &format!("<tspan font-family=\"{FALLBACK}\">")).replace(CLOSE, "</tspan>")
}

/// XML has no control characters, not even escaped ones; signs without a shape are left out, and what no font has
/// becomes a box.
pub fn printable(text: &str) -> String {
    let shapeless = |c: &char| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
    };
    let shown = |c: char| match c {
        c if c.is_control() || c.is_whitespace() => ' ',
        c if script(c).is_none() => BOX,
        c => c,
    };
    text.chars().filter(|c| !shapeless(c)).map(shown).collect()
}

/// The bundled fonts, for usvg, which makes outlines of text.
pub fn database(svg: &str) -> Arc<Database> {
    static INTER: OnceLock<Arc<Database>> = OnceLock::new();
    static BOTH: OnceLock<Arc<Database>> = OnceLock::new();
    let load = |files: &[&'static [u8]]| {
        let mut database = Database::new();
        files.iter().for_each(|&bytes| drop(database.load_font_source(Source::Binary(Arc::new(bytes)))));
        Arc::new(database)
    };
    match fallback().filter(|_| svg.contains(FALLBACK)) {
        Some(found) => BOTH.get_or_init(|| load(&[REGULAR, SEMIBOLD, found.bytes])).clone(),
        None => INTER.get_or_init(|| load(&[REGULAR, SEMIBOLD])).clone(),
    }
}

struct Face {
    font: FontRef<'static>,
    bytes: &'static [u8],
}

impl Face {
    /// Registered with plotters too, for widths. A broken asset is a font without characters; a test holds it sound.
    fn of(family: &str, style: FontStyle, bytes: &'static [u8]) -> Option<Face> {
        register_font(family, style, bytes).ok()?;
        Some(Face { font: FontRef::try_from_slice(bytes).ok()?, bytes })
    }

    fn has(&self, c: char) -> bool {
        self.font.glyph_id(c).0 != 0
    }
}

fn inter() -> Option<&'static Face> {
    static INTER: OnceLock<Option<Face>> = OnceLock::new();
    let load = || {
        Face::of(FAMILY, FontStyle::Bold, SEMIBOLD)?;
        Face::of(FAMILY, FontStyle::Normal, REGULAR)
    };
    INTER.get_or_init(load).as_ref()
}

/// Unpacked when a text first needs it: most never do.
fn fallback() -> Option<&'static Face> {
    static DROID: OnceLock<Option<Face>> = OnceLock::new();
    let load = || {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(PACKED).read_to_end(&mut bytes).ok()?;
        Face::of(FALLBACK, FontStyle::Normal, bytes.leak())
    };
    DROID.get_or_init(load).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_fonts_have_widths() {
        let (narrow, wide) = (Type::regular(12.0).width("iiii"), Type::regular(12.0).width("MMMM"));
        assert!(narrow > 5.0 && wide > 2.0 * narrow, "{narrow} {wide}");
        assert!(Type::bold(12.0).width("MMMM") > wide);
        for text in ["卷积网络", "コンボリュ", "컨볼루션", "ΣλάφωςЁжіїґ", "Việt Nam"] {
            assert!(text.chars().all(|c| script(c).is_some()), "{text}");
        }
        let em = Type::regular(12.0).width("卷积") / 2.0;
        assert!((em / 12.0 - 1.0).abs() < 0.3, "an ideograph is about an em wide: {em}");
        assert!(inter().unwrap().has(BOX) && inter().unwrap().has('…'));
    }

    #[test]
    fn what_no_font_has_is_a_box_and_what_has_no_shape_is_nothing() {
        assert_eq!(printable("a\u{1}b\tc\u{200b}d🚀\u{fe0f}e\u{f8fe}"), "a b cd□e□");
        assert_eq!(marked("vit 卷积 v2"), "vit \u{f8fe}卷积\u{f8ff} v2");
    }

    #[test]
    fn long_text_is_wrapped_and_loses_nothing() {
        let font = Type::regular(12.0);
        let text = "several words and then Donaudampfschifffahrtsgesellschaftskapitän at the end, 一个很长的中文名字也要换行显示";
        let lines = font.wrap(text, 100.0);
        assert!(lines.len() > 6 && lines.iter().all(|line| font.width(line) <= 100.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert_eq!(font.wrap("resnet18_width64_lr0.001", 110.0), ["resnet18_width64_", "lr0.001"]);
    }

    #[test]
    fn long_names_are_shortened_where_they_are_alike() {
        let font = Type::regular(12.0);
        let name = |end: &str| format!("{}{end}", "transformer with rotary positions, ".repeat(9));
        let (a, b) = (name("lr 0.1"), name("lr 0.2"));
        let lines = font.wrap_within(&a, 200.0, 2);
        assert!(lines.len() == 2 && lines[0].starts_with("transformer") && lines[1].ends_with("lr 0.1"), "{lines:?}");
        assert_eq!(lines.concat().matches('…').count(), 1);
        let middle = |at: &str| format!("{a}{at}{a}");
        let names = [a.clone(), b, middle("x"), middle("y"), "vit".to_string(), "vit".to_string()];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let short = font.wrap_apart(&names, 200.0, 2);
        assert!(short.iter().all(|lines| lines.len() <= 2), "{short:?}");
        let distinct: std::collections::BTreeSet<_> = short.iter().collect();
        assert_eq!(distinct.len(), 5, "{short:?}");
        // Where two parts differ, leaving out one does not help: those are written in full.
        let twice = |one: &str, other: &str| format!("{a}{one}{a}{other}{a}");
        let names = [twice("x", "v"), twice("x", "w"), twice("y", "v")];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let short = font.wrap_apart(&names, 200.0, 2);
        assert!(short[0] != short[1] && short[0] != short[2] && short[2].len() == 2, "{short:?}");
        assert!(font.wrap_within(&"量".repeat(100_000), 200.0, 3).len() <= 3);
    }
}
