//! Memory to be looked through: of a process that lives, or of a core dump.
//!
//! Why apart: what the system says of a process, and what an ELF file says, are parsed here and nowhere else.
//!
//! # Invariants
//! Every mapping is read that may hold data. Those of the kernel's own (`[vvar]`, `[vsyscall]`, `[vdso]`) are left out by name; nothing else is.
//! What the system never found memory for holds nothing, and is not read: reading would make it find some.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::ScanError;

/// Of the kernel: code and clocks.
const NO_DATA: [&str; 4] = ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]"];

/// What is read at a time.
const CHUNK: usize = 1 << 20;

/// The least page there is.
const PAGE: u64 = 4096;

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// One after the last.
    pub end: u64,
    /// As `rw-p`.
    pub access: String,
    /// A file, `[heap]`, `[stack]`, a thread's stack, or `anonymous`.
    pub name: String,
    /// Where it begins in what is read.
    at: u64,
}

/// All memory of one process.
#[derive(Debug)]
pub struct Image {
    mappings: Vec<Mapping>,
    memory: File,
    /// Two u64 words a page say whether there is memory (proc_pid_pagemap(5)). None for a core.
    pages: Option<File>,
}

impl Image {
    /// Of a process. It goes on while it is read.
    ///
    /// # Errors
    /// [`ScanError::Process`].
    pub fn of_process(pid: u32) -> Result<Self, ScanError> {
        let failed = |error: io::Error| ScanError::Process(error.kind());
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(failed)?;
        let memory = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
        let mut mappings: Vec<Mapping> = maps.lines().filter_map(mapping).collect();
        for (name, pointer) in threads(pid) {
            let own = |mapping: &&mut Mapping| (mapping.start..mapping.end).contains(&pointer);
            if let Some(stack) = mappings
                .iter_mut()
                .find(own)
                .filter(|stack| stack.name == "anonymous")
            {
                stack.name = format!("stack of {name}");
            }
        }
        Ok(Self {
            mappings,
            memory,
            pages: File::open(format!("/proc/{pid}/pagemap")).ok(),
        })
    }

    /// Of an ELF core of 64 bits (System V ABI, chapters 4 and 5).
    ///
    /// # Errors
    /// [`ScanError::Core`] or [`ScanError::NotCore`].
    pub fn of_core(path: &Path) -> Result<Self, ScanError> {
        let memory = File::open(path).map_err(|error| ScanError::Core(error.kind()))?;
        let read = |at: u64, length: usize| {
            let mut bytes = vec![0; length];
            memory.read_exact_at(&mut bytes, at).map(|()| bytes)
        };
        let head = read(0, 64).map_err(|_| ScanError::NotCore)?;
        // 64 bits, little-endian, ET_CORE.
        if !head.starts_with(b"\x7fELF\x02\x01") || word(&head, 16, 2) != 4 {
            return Err(ScanError::NotCore);
        }
        let (table, size) = (word(&head, 32, 8), word(&head, 54, 2));
        let mut count = word(&head, 56, 2);
        if count == 0xffff {
            // PN_XNUM: the number stands in the first section's sh_info.
            let section = read(word(&head, 40, 8), 64).map_err(|_| ScanError::NotCore)?;
            count = word(&section, 44, 4);
        }
        if size < 56 {
            return Err(ScanError::NotCore);
        }
        let mut mappings = Vec::new();
        for index in 0..count {
            let at = index.checked_mul(size).and_then(|at| at.checked_add(table));
            let entry = read(at.ok_or(ScanError::NotCore)?, 56).map_err(|_| ScanError::NotCore)?;
            let (start, bytes) = (word(&entry, 16, 8), word(&entry, 32, 8));
            let end = start.checked_add(bytes).ok_or(ScanError::NotCore)?;
            // PT_LOAD with something in the file.
            if word(&entry, 0, 4) == 1 && bytes > 0 {
                let flag = |bit: u64, name| if word(&entry, 4, 4) & bit != 0 { name } else { '-' };
                mappings.push(Mapping {
                    start,
                    end,
                    access: [flag(4, 'r'), flag(2, 'w'), flag(1, 'x')].iter().collect(),
                    name: format!("segment {index}"),
                    at: word(&entry, 8, 8),
                });
            }
        }
        Ok(Self {
            mappings,
            memory,
            pages: None,
        })
    }

    /// Its parts, by address.
    #[must_use]
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Reads a mapping bit by bit: `take` gets where a bit begins in the mapping, the bit, and how many bytes of it are new. What follows
    /// another begins with the last `overlap` bytes of that one. `false` when something that is there could not be read.
    pub(super) fn read(
        &self,
        mapping: &Mapping,
        overlap: usize,
        take: &mut dyn FnMut(u64, &[u8], usize),
    ) -> bool {
        let mut whole = true;
        let mut buffer = vec![0; overlap + CHUNK];
        for (first, last) in self.there(mapping) {
            let (mut kept, mut at) = (0, first);
            while at < last {
                let new = usize::try_from(last - at).unwrap_or(CHUNK).min(CHUNK);
                let into = &mut buffer[kept..kept + new];
                // In one piece, or else page by page: one that is gone in the meantime takes no other with it.
                let from = mapping.at + (at - mapping.start);
                if self.memory.read_exact_at(into, from).is_err() {
                    for (page, into) in (from..)
                        .step_by(PAGE as usize)
                        .zip(into.chunks_mut(PAGE as usize))
                    {
                        if self.memory.read_exact_at(into, page).is_err() {
                            into.fill(0);
                            whole = false;
                        }
                    }
                }
                let filled = kept + new;
                take(at - mapping.start - kept as u64, &buffer[..filled], new);
                kept = overlap.min(filled);
                buffer.copy_within(filled - kept..filled, 0);
                at += new as u64;
            }
        }
        whole
    }

    /// Ranges of addresses for which there is memory, or swap.
    fn there(&self, mapping: &Mapping) -> Vec<(u64, u64)> {
        let all = vec![(mapping.start, mapping.end)];
        let Some(pages) = &self.pages else {
            return all;
        };
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let mut entries = vec![0; 64 << 10];
        let mut at = mapping.start;
        while at < mapping.end {
            let count = ((mapping.end - at).div_ceil(PAGE) as usize).min(entries.len() / 8);
            let entries = &mut entries[..count * 8];
            if pages.read_exact_at(entries, at / PAGE * 8).is_err() {
                return all;
            }
            for entry in entries.chunks_exact(8) {
                // Bit 63: present; bit 62: swapped.
                if word(entry, 0, 8) >> 62 != 0 {
                    match ranges.last_mut() {
                        Some((_, end)) if *end == at => *end += PAGE,
                        _ => ranges.push((at, at + PAGE)),
                    }
                }
                at += PAGE;
            }
        }
        ranges
    }
}

/// Threads that wait in the kernel: their names and where their stacks are (proc_pid_syscall(5)). None where the system does not tell.
fn threads(pid: u32) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let thread = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        let call = read("syscall")?;
        let pointer = call.split_whitespace().rev().nth(1)?.strip_prefix("0x")?;
        let pointer = u64::from_str_radix(pointer, 16).ok()?;
        Some((read("comm")?.trim().to_owned(), pointer))
    };
    tasks.filter_map(Result::ok).filter_map(thread).collect()
}

/// A line of `/proc/PID/maps`; `None` for what holds no data.
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
    );
    let access = fields.next()?.to_owned();
    let name = fields.skip(3).collect::<Vec<_>>().join(" ");
    if NO_DATA.contains(&name.as_str()) {
        return None;
    }
    Some(Mapping {
        start,
        end,
        access,
        name: if name.is_empty() {
            "anonymous".to_owned()
        } else {
            name
        },
        at: start,
    })
}

/// A little-endian number of so many bytes; zero where there are not as many.
fn word(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut word = [0; 8];
    if let (Some(from), Some(into)) = (bytes.get(at..at + length), word.get_mut(..length)) {
        into.copy_from_slice(from);
    }
    u64::from_le_bytes(word)
}
