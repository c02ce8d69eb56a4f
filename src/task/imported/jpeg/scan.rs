//! One scan of a JPEG, walked code by code: whether its data has the blocks that it should have, no fewer and no more.

/// Bytes behind the last block that some encoders leave, if they are nothing but padding.
const PADDING: usize = 16;

pub struct Frame {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
}

pub struct Component {
    id: u8,
    across: usize,
    down: usize,
    /// Bits still to come of each coefficient, where some came.
    coarse: [Option<u8>; 64],
    /// Coefficients that are not zero, a bit each, of each block: refinements depend on them. Progressive frames alone.
    known: Vec<u64>,
}

impl Frame {
    pub fn parse(segment: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(usize::from(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?])));
        let count = usize::from(*segment.get(5)?);
        let specs = segment.get(6..6 + 3 * count)?;
        let component = |spec: &[u8]| {
            let (across, down) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
            let sound = (1..=4).contains(&across) && (1..=4).contains(&down);
            sound.then(|| Component { id: spec[0], across, down, coarse: [None; 64], known: Vec::new() })
        };
        let components = specs.chunks_exact(3).map(component).collect::<Option<Vec<_>>>()?;
        let (height, width) = (number(1)?, number(3)?);
        (width > 0 && (1..=4).contains(&count)).then_some(Self { width, height, components })
    }

    fn most(&self, side: fn(&Component) -> usize) -> usize {
        self.components.iter().map(side).max().unwrap_or(1)
    }

    /// Groups of blocks of all components, across and down.
    fn groups(&self) -> (usize, usize) {
        let (across, down) = (self.most(|c| c.across), self.most(|c| c.down));
        (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down))
    }

    /// Blocks that hold pixels of a component, across and down.
    fn blocks(&self, of: &Component) -> (usize, usize) {
        let side = |pixels: usize, of: usize, most: usize| (pixels * of).div_ceil(most).div_ceil(8);
        (side(self.width, of.across, self.most(|c| c.across)), side(self.height, of.down, self.most(|c| c.down)))
    }

    /// What never came.
    pub fn missing(&self) -> Option<String> {
        if self.components.iter().any(|component| component.coarse[0].is_none()) {
            return Some("a colour has no data".into());
        }
        let coarse = self.components.iter().any(|component| component.coarse.iter().flatten().any(|&bits| bits > 0));
        coarse.then(|| "its last scans are missing".into())
    }
}

pub struct Scan {
    /// Place in the frame, and its two tables.
    pub components: Vec<(usize, usize, usize)>,
    first: usize,
    last: usize,
    refines: bool,
    low: u8,
}

type Tables<'a> = (&'a [Option<Huffman>; 4], &'a [Option<Huffman>; 4]);

impl Scan {
    pub fn parse(header: &[u8], frame: &Frame) -> Option<Self> {
        let count = usize::from(*header.first()?);
        let specs = header.get(1..1 + 2 * count)?;
        let &[first, last, bits] = header.get(1 + 2 * count..)?.first_chunk()?;
        let component = |spec: &[u8]| {
            let place = frame.components.iter().position(|component| component.id == spec[0])?;
            Some((place, usize::from(spec[1] >> 4), usize::from(spec[1] & 15)))
        };
        let components = specs.chunks_exact(2).map(component).collect::<Option<Vec<_>>>()?;
        let (first, last) = (first.into(), usize::from(last).min(63));
        let sound = !components.is_empty() && first <= last;
        sound.then_some(Self { components, first, last, refines: bits >> 4 > 0, low: bits & 15 })
    }

    /// Says what is wrong, and from which row of pixels on.
    pub fn walk(
        &self,
        frame: &mut Frame,
        progressive: bool,
        (direct, alternating): Tables,
        restart: usize,
        data: &[u8],
    ) -> Result<(), String> {
        let (across, down) = frame.groups();
        let alone = self.components.len() == 1;
        let (wide, high) = if alone { frame.blocks(&frame.components[self.components[0].0]) } else { (across, down) };
        let (height, count) = (frame.height, wide * high);
        let wrong = |unit: usize, what: &str| format!("{what} from row {} of {height} on", unit / wide * height / high);
        for &(place, ..) in &self.components {
            let component = &mut frame.components[place];
            let last = if progressive { self.last } else { 63 };
            component.coarse[self.first..=last].fill(Some(if progressive { self.low } else { 0 }));
            if progressive && component.known.is_empty() {
                component.known = vec![0; across * component.across * down * component.down];
            }
        }
        let mut bits = Bits { data, at: 0, held: 0, count: 0 };
        let mut run = 0;
        for unit in 0..count {
            if restart > 0 && unit > 0 && unit % restart == 0 {
                bits.restart().ok_or_else(|| wrong(unit, "the data does not fit the image"))?;
                run = 0;
            }
            for &(place, dc, ac) in &self.components {
                let component = &mut frame.components[place];
                let blocks = if alone { 1 } else { component.across * component.down };
                for block in 0..blocks {
                    let (dc, ac) =
                        (direct.get(dc).and_then(Option::as_ref), alternating.get(ac).and_then(Option::as_ref));
                    let step = if !progressive {
                        bits.sequential(dc, ac)
                    } else if self.first == 0 {
                        if self.refines { bits.take(1).map(drop) } else { bits.direct(dc) }
                    } else {
                        // A component that is alone has its blocks in rows of its own.
                        let known = component.known.get_mut(unit * blocks + block);
                        let known = known.ok_or_else(|| wrong(unit, "the data does not fit the image"))?;
                        bits.band(ac, (self.first, self.last), self.refines, &mut run, known)
                    };
                    step.ok_or_else(|| wrong(unit, "the data is wrong or ends"))?;
                }
            }
        }
        match bits.rest() {
            true => Ok(()),
            false => Err("there is more data than the image has".into()),
        }
    }
}

pub struct Huffman {
    /// By the next nine bits: length of the code and symbol; no length where the code is longer or none.
    short: Box<[(u8, u8); 512]>,
    /// By length from 1: the first code, how many codes, the place of their symbols.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Huffman {
    /// The table, and what follows it.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (counts, rest) = bytes.split_at_checked(16)?;
        let (symbols, rest) = rest.split_at_checked(counts.iter().map(|&count| usize::from(count)).sum())?;
        let mut table = Self { short: Box::new([(0, 0); 512]), lengths: [(0, 0, 0); 16], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0u32, 0);
        for (length, &count) in (1..).zip(counts) {
            table.lengths[length - 1] = (code, count.into(), place);
            for symbol in &symbols[place..place + usize::from(count)] {
                if length <= 9 {
                    let from = (code as usize) << (9 - length);
                    table.short.get_mut(from..from + (1 << (9 - length)))?.fill((length as u8, *symbol));
                }
                code += 1;
            }
            place += usize::from(count);
            code <<= 1;
        }
        Some((table, rest))
    }
}

/// Bits of coded data; none where it ends or a marker stands.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 40 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => return,
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn take(&mut self, bits: u32) -> Option<u32> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits)?;
        Some((self.held >> self.count) as u32 & ((1 << bits) - 1))
    }

    fn symbol(&mut self, table: Option<&Huffman>) -> Option<u8> {
        let table = table?;
        if self.count < 16 {
            self.fill();
        }
        // Beyond the end stand ones, which no code consists of.
        let padded = (self.held << 16 | 0xffff) >> self.count;
        let next = (padded & 0xffff) as u32;
        let (length, symbol) = table.short[(next >> 7) as usize];
        if length > 0 {
            self.count = self.count.checked_sub(length.into())?;
            return Some(symbol);
        }
        for length in 10..=16u32 {
            let (code, count, place) = table.lengths[length as usize - 1];
            let offset = (next >> (16 - length)).checked_sub(code);
            if let Some(offset) = offset.filter(|&offset| offset < count) {
                self.count = self.count.checked_sub(length)?;
                return table.symbols.get(place + offset as usize).copied();
            }
        }
        None
    }

    fn direct(&mut self, table: Option<&Huffman>) -> Option<()> {
        let size = self.symbol(table)?;
        (size <= 15).then_some(())?;
        self.take(size.into()).map(drop)
    }

    fn sequential(&mut self, dc: Option<&Huffman>, ac: Option<&Huffman>) -> Option<()> {
        self.direct(dc)?;
        let mut at = 1;
        while at < 64 {
            let symbol = self.symbol(ac)?;
            let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => return Some(()),
                _ => {
                    at += zeros + 1;
                    self.take(size)?;
                }
            }
        }
        (at == 64).then_some(())
    }

    /// The coefficients `first` to `last` of a block; `run` counts the blocks to come that have none.
    fn band(
        &mut self,
        ac: Option<&Huffman>,
        (first, last): (usize, usize),
        refines: bool,
        run: &mut u32,
        known: &mut u64,
    ) -> Option<()> {
        let mut at = first;
        while *run == 0 && at <= last {
            let symbol = self.symbol(ac)?;
            let (mut zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + self.take(zeros)?;
                break;
            }
            // Of a refinement the sign alone: its size is one bit.
            self.take(if refines { u32::from(size > 0) } else { size })?;
            while at <= last {
                if refines && *known >> at & 1 == 1 {
                    self.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size > 0 {
                (at <= last).then_some(())?;
                *known |= 1 << at;
            }
            at += 1;
        }
        if *run > 0 {
            let corrections =
                if refines && at <= last { (*known >> at & (u64::MAX >> (63 - (last - at)))).count_ones() } else { 0 };
            for _ in 0..corrections {
                self.take(1)?;
            }
            *run -= 1;
        }
        Some(())
    }

    /// Whether nothing but padding stands up to the next marker or the end.
    fn padding(&mut self) -> bool {
        let rest = &self.data[self.at..];
        let marker = |pair: &[u8]| pair[0] == 0xff && (0xd0..=0xd7).contains(&pair[1]);
        let end = rest.windows(2).position(marker).unwrap_or(rest.len());
        self.at += end;
        let read = self.count / 8;
        (self.count, self.held) = (0, 0);
        end + read as usize <= PADDING && rest[..end].iter().all(|&byte| byte == 0 || byte == 0xff)
    }

    fn restart(&mut self) -> Option<()> {
        self.padding().then_some(())?;
        (self.at + 2 <= self.data.len()).then(|| self.at += 2)
    }

    fn rest(&mut self) -> bool {
        self.padding() && self.at >= self.data.len()
    }
}
