use super::*;

/// Bits, most significant first, as a JPEG stuffs them.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Writer {
    fn put(&mut self, value: u32, bits: u32) {
        for at in (0..bits).rev() {
            self.held = self.held << 1 | (value >> at & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.held as u8);
                if self.held == 0xff {
                    self.bytes.push(0);
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        while self.count > 0 {
            self.put(1, 1);
        }
        self.bytes
    }
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    [&[0xff, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
}

/// What stands before the first scan, of components without subsampling.
fn head(width: u16, height: u16, components: u8) -> Vec<u8> {
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(components);
    (1..=components).for_each(|id| frame.extend([id, 0x11, 0]));
    // Twelve symbols of four bits; an end of block of one bit.
    let direct = [&[0, 0, 0, 0, 12][..], &[0; 12], &(0..12).collect::<Vec<u8>>()].concat();
    let alternating = [&[0x10, 1][..], &[0; 15], &[0]].concat();
    let quantisation = [&[0][..], &[8; 64]].concat();
    let tables = [segment(0xc4, &direct), segment(0xc4, &alternating)].concat();
    [vec![0xff, 0xd8], segment(0xdb, &quantisation), segment(0xc0, &frame), tables].concat()
}

/// A JPEG of flat blocks, whose values are those of each component less 128, row by row. In one scan, or one for each.
pub fn flat(width: u16, height: u16, components: &[Vec<i32>], split: bool) -> Vec<u8> {
    let mut file = head(width, height, components.len() as u8);
    let all: Vec<usize> = (0..components.len()).collect();
    for scan in if split { all.chunks(1).collect::<Vec<_>>() } else { vec![&all[..]] } {
        let mut header = vec![scan.len() as u8];
        scan.iter().for_each(|&component| header.extend([component as u8 + 1, 0]));
        file.extend(segment(0xda, &[&header[..], &[0, 63, 0]].concat()));
        let (mut bits, mut before) = (Writer::default(), vec![0; components.len()]);
        let rows = (0..components[0].len()).map(|block| scan.iter().map(move |&component| (component, block)));
        for (component, block) in rows.flatten() {
            let value = components[component][block];
            let difference = value - std::mem::replace(&mut before[component], value);
            let size = 32 - difference.unsigned_abs().leading_zeros();
            bits.put(size, 4);
            bits.put((if difference < 0 { difference + (1 << size) - 1 } else { difference }) as u32, size);
            bits.put(0, 1);
        }
        file.extend(bits.end());
    }
    [file, vec![0xff, 0xd9]].concat()
}

/// 186 bytes that say that they are 65,535 x 65,535 pixels.
pub fn bomb() -> Vec<u8> {
    let file = [head(65_535, 65_535, 3), segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]), vec![0; 4], vec![0xff, 0xd9]];
    file.concat()
}

fn blocks() -> [Vec<i32>; 3] {
    [0, 1, 2].map(|component| (0..12).map(|block| (block * 17 + component * 40) % 200 - 100).collect())
}

const MOST: u64 = 1 << 28;

#[test]
fn a_whole_file_is_whole_and_what_is_behind_its_end_is_not_looked_at() {
    for split in [false, true] {
        let file = flat(30, 20, &blocks(), split);
        // As cameras write it: a preview, which has scans and is cut off itself.
        let camera = [&file[..], b"\0\0", &file[..file.len() - 9]].concat();
        let told = inspect(&camera, MOST).unwrap();
        assert_eq!((told.width, told.height, told.components, told.end), (30, 20, 3, file.len()));
        assert_eq!((told.coding, told.damage), (if split { Coding::Split } else { Coding::Baseline }, None));
    }
}

#[test]
fn a_file_that_is_cut_off_or_claims_too_much_is_refused() {
    let file = flat(30, 20, &blocks(), false);
    for kept in 2..file.len() {
        assert_eq!(inspect(&file[..kept], MOST).unwrap_err(), CUT_OFF, "{kept}");
    }
    assert!(inspect(&bomb(), MOST).unwrap_err().contains("65535 x 65535 pixels, more than max_pixels"));
    assert!(inspect(&flat(30, 0, &blocks(), false), MOST).unwrap_err().contains("its height"));
    assert_eq!(inspect(&[0xff, 0xd8, 0xff, 0xd9], MOST).unwrap_err(), "it is a JPEG without an image");
}

#[test]
fn damage_is_told_with_its_row() {
    let file = flat(30, 20, &blocks(), false);
    let damage = |file: &[u8]| inspect(file, MOST).unwrap().damage;
    let without = |bytes: usize| [&file[..file.len() - 2 - bytes], &[0xff, 0xd9]].concat();
    assert_eq!(damage(&without(1)).unwrap(), "the data is wrong or ends from row 13 of 20 on");
    assert_eq!(damage(&without(20)).unwrap(), "the data is wrong or ends from row 6 of 20 on");
    let more = [&file[..file.len() - 2], &[0x55; 40], &[0xff, 0xd9]].concat();
    assert_eq!(damage(&more).unwrap(), "there is more data than the image has");
    // Padding is no data.
    assert_eq!(damage(&[&file[..file.len() - 2], &[0; 4], &[0xff, 0xd9]].concat()), None);
    let scans = flat(30, 20, &blocks(), true);
    let last = scans.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    assert_eq!(damage(&[&scans[..last], &[0xff, 0xd9]].concat()).unwrap(), "a colour has no data");
}
