//! What a JPEG says of itself, read before any pixel is: its size, how it is coded, where its first image ends, and whether
//! its coded data is whole. Decoders fill up what is missing with grey and say nothing; so the data is walked here, code by
//! code, and no coefficient is kept. (What stands behind the first end, a preview or a film, belongs to no image of ours.)

mod scan;

use scan::{Frame, Huffman, Scan};

const CUT_OFF: &str = "it is cut off: a JPEG without its end";

#[derive(Debug, PartialEq)]
pub struct Jpeg {
    pub width: u32,
    pub height: u32,
    pub components: u32,
    pub coding: Coding,
    /// Bytes up to the end of the first image.
    pub end: usize,
    /// What is wrong with the coded data, and from which row on.
    pub damage: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// All colours in one scan.
    Baseline,
    /// A scan for each colour, or for some of them.
    Split,
    Progressive,
    /// Arithmetic, lossless, hierarchical or of more than 8 bits.
    Rare,
}

/// What has been read of a file so far.
#[derive(Default)]
struct State {
    frame: Option<Frame>,
    rare: bool,
    progressive: bool,
    split: bool,
    restart: usize,
    direct: [Option<Huffman>; 4],
    alternating: [Option<Huffman>; 4],
    damage: Option<String>,
}

/// Refuses what has no frame, no end, or more pixels than `most`.
pub fn inspect(bytes: &[u8], most: u64) -> Result<Jpeg, String> {
    let mut state = State::default();
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or(CUT_OFF)?;
        if marker == 0xd9 {
            return state.told(at);
        }
        if marker == 0x01 || (0xd0..=0xd8).contains(&marker) {
            continue;
        }
        let length = bytes.get(at..at + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
        let length = length.ok_or(CUT_OFF)?;
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(CUT_OFF)?;
        at += length.max(2);
        let broken = || format!("its segment FF{marker:02X} is broken");
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let frame = Frame::parse(segment).ok_or_else(broken)?;
                super::picture::within(frame.width as u64, frame.height as u64, most)?;
                state.rare |= marker > 0xc2 || segment[0] != 8;
                state.progressive = marker == 0xc2;
                state.frame = Some(frame);
            }
            0xc4 => state.tables(segment).ok_or_else(broken)?,
            0xdd => {
                let interval = segment.first_chunk().ok_or_else(broken)?;
                state.restart = u16::from_be_bytes(*interval).into();
            }
            0xda => {
                let data = coded(&bytes[at..]).ok_or(CUT_OFF)?;
                at += data.len();
                state.scan(segment, data);
            }
            _ => (),
        }
    }
}

/// Where the next marker ends; bytes before it that are none are passed over, as decoders do.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        *at += bytes.get(*at..)?.iter().position(|&byte| byte == 0xff)?;
        *at += bytes[*at..].iter().position(|&byte| byte != 0xff)?;
        *at += 1;
        match bytes[*at - 1] {
            0 => (),
            marker => return Some(marker),
        }
    }
}

/// Coded data up to the marker behind it; none where there is no marker.
fn coded(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == 0xff)?;
        match bytes.get(at + 1)? {
            0 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Some(&bytes[..at]),
        }
    }
}

impl State {
    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&class, rest)) = segment.split_first() {
            let (table, rest) = Huffman::parse(rest)?;
            let place = usize::from(class & 15);
            let tables = if class >> 4 == 0 { &mut self.direct } else { &mut self.alternating };
            *tables.get_mut(place)? = Some(table);
            segment = rest;
        }
        Some(())
    }

    /// The first damage is kept: what comes behind it may be its consequence.
    fn scan(&mut self, header: &[u8], data: &[u8]) {
        let Some(frame) = &mut self.frame else { return };
        let Some(scan) = Scan::parse(header, frame) else {
            self.damage.get_or_insert_with(|| "the head of a scan is broken".into());
            return;
        };
        self.split |= scan.components.len() < frame.components.len();
        if self.rare || self.damage.is_some() {
            return;
        }
        let tables = (&self.direct, &self.alternating);
        let walked = scan.walk(frame, self.progressive, tables, self.restart, data);
        self.damage = walked.err();
    }

    fn told(self, end: usize) -> Result<Jpeg, String> {
        let frame = self.frame.ok_or("it is a JPEG without an image")?;
        if frame.height == 0 {
            return Err("its height is not in its head but behind its data (DNL), which is not read".into());
        }
        let coding = match (self.rare, self.progressive, self.split) {
            (true, ..) => Coding::Rare,
            (_, true, _) => Coding::Progressive,
            (_, _, true) => Coding::Split,
            _ => Coding::Baseline,
        };
        let damage = self.damage.or_else(|| frame.missing().filter(|_| coding != Coding::Rare));
        let (width, height, components) = (frame.width as u32, frame.height as u32, frame.components.len() as u32);
        Ok(Jpeg { width, height, components, coding, end, damage })
    }
}

#[cfg(test)]
pub mod tests;
