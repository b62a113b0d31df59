//! What is looked for, in all forms in which memory may hold it.
//!
//! Why apart: a search that finds nothing proves nothing unless it knows each form.
//!
//! A canary is looked for by windows that overlap by half, so that a piece of it is found as well, when it is half as long again as a window.
//!
//! # Invariants
//! No window is shorter than [`LEAST`] bytes: in a gigabyte chance puts no such bytes there. A window of few different bytes is none.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::ScanError;
use crate::limits;

/// Bytes of the shortest window.
const LEAST: usize = 8;
/// Characters of a window of a text.
const CHARACTERS: usize = 12;
/// The same of a text in words that others use as well.
const WORDS: usize = 28;
/// Ids of a window. Small numbers are everywhere in memory, also some in a row: see [`is_random`].
const IDS: usize = 6;
/// Numbers of a window, and of one of 16 bits a number.
const NUMBERS: usize = 4;
const SHORT_NUMBERS: usize = 6;
/// Bytes of a window of bytes.
const BYTES: usize = 16;

/// Something that must not be there.
pub enum Canary {
    /// A text, drawn at random.
    Text(String),
    /// A text that a model has made, of words that stand elsewhere too.
    Words(String),
    /// Tokens of one.
    Ids(Vec<u32>),
    /// Numbers that were computed of one.
    Numbers(Vec<f32>),
    /// Bytes as they lay in memory.
    Bytes(Vec<u8>),
}

struct Needle {
    canary: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Canaries in all their forms.
pub struct Canaries {
    needles: Vec<Needle>,
    /// Needles by their first four bytes.
    beginnings: HashMap<u32, Vec<usize>>,
    /// A bit for each hash of four bytes with which a needle may begin.
    filter: Vec<u64>,
    longest: usize,
}

/// What a file of canaries may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    numbers: Vec<Vec<f32>>,
}

const FILTER_BITS: u32 = 20;

fn hash(beginning: u32) -> usize {
    (beginning.wrapping_mul(0x9e37_79b1) >> (32 - FILTER_BITS)) as usize
}

impl Canaries {
    /// Takes canaries and writes down their forms.
    ///
    /// # Errors
    /// [`ScanError::TooShort`].
    pub fn new(canaries: &[Canary]) -> Result<Self, ScanError> {
        let mut needles = Vec::new();
        for (index, canary) in canaries.iter().enumerate() {
            let before = needles.len();
            let mut put = |form, bytes: Vec<u8>| {
                let different = bytes.iter().collect::<std::collections::HashSet<_>>().len();
                if bytes.len() >= LEAST && different >= LEAST / 2 {
                    needles.push(Needle {
                        canary: index,
                        form,
                        bytes,
                    });
                }
            };
            match canary {
                Canary::Text(text) => text_forms(text, CHARACTERS, &mut put),
                Canary::Words(text) => text_forms(text, WORDS, &mut put),
                Canary::Ids(ids) => id_forms(ids, &mut put),
                Canary::Numbers(numbers) => number_forms(numbers, &mut put),
                Canary::Bytes(bytes) => windows(bytes, BYTES, |window| put("bytes", window.to_vec())),
            }
            if needles.len() == before {
                return Err(ScanError::TooShort);
            }
        }
        let mut beginnings: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut filter = vec![0; 1 << (FILTER_BITS - 6)];
        for (index, needle) in needles.iter().enumerate() {
            if let Some(first) = needle.bytes.first_chunk() {
                let first = u32::from_le_bytes(*first);
                beginnings.entry(first).or_default().push(index);
                let bit = hash(first);
                filter[bit / 64] |= 1_u64 << (bit % 64);
            }
        }
        let longest = needles
            .iter()
            .map(|needle| needle.bytes.len())
            .max()
            .unwrap_or_default();
        Ok(Self {
            needles,
            beginnings,
            filter,
            longest,
        })
    }

    /// Reads canaries: one text a line, or JSON with members `texts`, `ids` and `numbers`. `-` is standard input.
    ///
    /// # Errors
    /// [`ScanError::Canaries`] or [`ScanError::NotCanaries`].
    pub fn read(path: &Path) -> Result<Vec<Canary>, ScanError> {
        let failed = |error: std::io::Error| ScanError::Canaries(error.kind());
        let mut text = String::new();
        let limit = limits::CANARY_BYTES;
        let read = if path == Path::new("-") {
            std::io::stdin().lock().take(limit + 1).read_to_string(&mut text)
        } else {
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(limit + 1).read_to_string(&mut text)
        };
        if read.map_err(failed)? as u64 > limit {
            return Err(ScanError::Canaries(std::io::ErrorKind::FileTooLarge));
        }
        if !text.trim_start().starts_with('{') {
            let lines = text.lines().filter(|line| !line.is_empty());
            return Ok(lines.map(|line| Canary::Text(line.to_owned())).collect());
        }
        let listed: Listed = serde_json::from_str(&text).map_err(|_| ScanError::NotCanaries)?;
        let texts = listed.texts.into_iter().map(Canary::Text);
        let ids = listed.ids.into_iter().map(Canary::Ids);
        let numbers = listed.numbers.into_iter();
        let numbers = numbers.map(Canary::Numbers);
        Ok(texts.chain(ids).chain(numbers).collect())
    }

    /// Bytes of the longest form.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// How many forms of windows are looked for.
    #[must_use]
    pub fn forms(&self) -> usize {
        self.needles.len()
    }

    /// Tells each place where a form begins: the place, the canary, the form.
    pub fn find(&self, bytes: &[u8], tell: &mut dyn FnMut(usize, usize, &'static str)) {
        const BLOCK: usize = 4096;
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        let mut at = 0;
        while let Some(beginning) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            // Most of memory is zeros, and no form begins with four.
            if *beginning == [0; 4] && bytes.get(at..at + BLOCK) == Some(&ZEROS) {
                at += BLOCK - 3;
                continue;
            }
            let first = u32::from_le_bytes(*beginning);
            let bit = hash(first);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 1 {
                let rest = &bytes[at..];
                let of = self.beginnings.get(&first).into_iter().flatten();
                if let Some(needle) = of
                    .filter_map(|index| self.needles.get(*index))
                    .find(|needle| rest.starts_with(&needle.bytes))
                {
                    tell(at, needle.canary, needle.form);
                }
            }
            at += 1;
        }
    }
}

/// Windows of `length`, each half a window after the one before, and one at the end. None where there are fewer.
fn windows<T>(all: &[T], length: usize, mut each: impl FnMut(&[T])) {
    let Some(last) = all.len().checked_sub(length) else {
        return;
    };
    let starts = (0..last).step_by((length / 2).max(1)).chain([last]);
    starts
        .filter_map(|start| all.get(start..start + length))
        .for_each(&mut each);
}

/// Whether a third of what is in a window is different.
fn varies<T: Eq + std::hash::Hash>(window: &[T]) -> bool {
    3 * window.iter().collect::<std::collections::HashSet<_>>().len() >= window.len()
}

fn text_forms(text: &str, length: usize, put: &mut dyn FnMut(&'static str, Vec<u8>)) {
    let characters: Vec<char> = text.chars().collect();
    windows(&characters, length, |window| {
        if !varies(window) {
            return;
        }
        let text: String = window.iter().collect();
        put("UTF-8", text.clone().into());
        if text.to_lowercase() != text {
            put("lower case", text.to_lowercase().into());
        }
        let units = || text.encode_utf16();
        put("UTF-16 LE", units().flat_map(u16::to_le_bytes).collect());
        put("UTF-16 BE", units().flat_map(u16::to_be_bytes).collect());
        let escapes: String = units().map(|unit| format!("\\u{unit:04x}")).collect();
        put("JSON escapes", escapes.into());
        let quoted = serde_json::to_string(&text).unwrap_or_default();
        let quoted = quoted.trim_matches('"');
        if quoted != text {
            put("JSON", quoted.into());
        }
    });
    // By bytes, and the characters that are shared with neighbours cut away.
    windows(text.as_bytes(), length, |window| {
        if !varies(window) {
            return;
        }
        for shift in 0..3 {
            let bytes = [&[0; 3][..shift], window].concat();
            let (begin, end) = ([0, 2, 3][shift], bytes.len() * 8 / 6);
            for form in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                put(
                    "base64",
                    form.as_bytes().get(begin..end).unwrap_or_default().to_vec(),
                );
            }
        }
    });
}

/// Whether nobody would write these ids for another reason: nearly all are different, and they neither rise nor fall steadily.
fn is_random(ids: &[u32]) -> bool {
    let different = ids.iter().collect::<std::collections::HashSet<_>>().len();
    different + 1 >= ids.len() && !ids.is_sorted() && !ids.iter().rev().is_sorted()
}

fn id_forms(ids: &[u32], put: &mut dyn FnMut(&'static str, Vec<u8>)) {
    windows(ids, IDS, |window| {
        if !is_random(window) {
            return;
        }
        // The same bytes as of i32.
        put(
            "ids of 32 bits",
            window.iter().flat_map(|id| id.to_le_bytes()).collect(),
        );
        let wide = window.iter().flat_map(|id| u64::from(*id).to_le_bytes());
        put("ids of 64 bits", wide.collect());
        let short = window.iter().map(|id| u16::try_from(*id).ok());
        if let Some(short) = short.collect::<Option<Vec<u16>>>() {
            put(
                "ids of 16 bits",
                short.into_iter().flat_map(u16::to_le_bytes).collect(),
            );
        }
        let decimal: Vec<String> = window.iter().map(u32::to_string).collect();
        put("ids as text", decimal.join(",").into());
        put("ids as text", decimal.join(", ").into());
    });
}

fn number_forms(numbers: &[f32], put: &mut dyn FnMut(&'static str, Vec<u8>)) {
    windows(numbers, NUMBERS, |window| {
        put(
            "binary32",
            window.iter().flat_map(|number| number.to_le_bytes()).collect(),
        );
    });
    windows(numbers, SHORT_NUMBERS, |window| {
        let halves = window.iter().flat_map(|number| binary16(*number).to_le_bytes());
        put("binary16", halves.collect());
        // Rounded to the nearest even one, and cut off.
        let bf16 = |round: u32| {
            let upper = |number: &f32| {
                let bits = number.to_bits();
                (bits.wrapping_add(round * (0x7fff + (bits >> 16 & 1))) >> 16) as u16
            };
            window.iter().map(upper).flat_map(u16::to_le_bytes).collect()
        };
        put("bfloat16", bf16(1));
        put("bfloat16", bf16(0));
    });
}

/// The nearest IEEE 754 binary16, ties to even. Numbers beyond its range become infinities.
fn binary16(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = f32::from_bits(bits & 0x7fff_ffff);
    if size >= 65520.0 {
        return sign | 0x7c00;
    }
    if size < 6.103_515_6e-5 {
        // Below the least normal number: multiples of 2^-24.
        return sign | (size * 16_777_216.0).round_ties_even() as u16;
    }
    let size = size.to_bits();
    let rounded = size + 0xfff + (size >> 13 & 1);
    sign | ((rounded >> 13) - (112 << 10)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_nearest() {
        for (number, half) in [
            (0.0, 0),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (1e9, 0x7c00),
            (5.960_464_5e-8, 1),
            (6.103_515_6e-5, 0x400),
            (0.333_333_34, 0x3555),
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
        ] {
            assert_eq!(binary16(number), half, "{number}");
        }
    }

    #[test]
    fn pieces_of_a_canary_are_found() {
        let text = "Quick-brown-fox-7f3a9c1e55d2b804";
        let canaries = Canaries::new(&[Canary::Text(text.to_owned())]).unwrap();
        for start in 0..text.len() - 18 {
            let memory = [&[0; 5000], &text.as_bytes()[start..start + 18], &[0; 5000]].concat();
            let mut found = 0;
            canaries.find(&memory, &mut |_, _, _| found += 1);
            assert!(found > 0, "the piece from {start} on");
        }
        let mut found = 0;
        canaries.find(&[0x41; 100_000], &mut |_, _, _| found += 1);
        assert_eq!(found, 0);
    }
}
