//! Certificates as a hypervisor hands them to a guest beside a report (`auxblob` of Linux's TSM interface).
//!
//! Why apart: the table comes from the host, who may write anything there. It only finds bytes; chains prove them.
//!
//! # Invariants
//! GHCB specification 56421, "SNP Extended Guest Request" (section 4.1.8.1 of revision 2.03): entries of 24 bytes (GUID, offset, length), the last of
//! zeros, then the certificates. Each kind at most once, no overlap, and zeros where no entry is: one table, one
//! reading.

use crate::limits;
use crate::snp::{SnpError, TableCheck};

/// Bytes of an entry.
const ENTRY: usize = 24;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The ARK.
    Ark,
    /// The ASK or ASVK.
    Ask,
    /// The VCEK.
    Vcek,
    /// The VLEK.
    Vlek,
    /// The revocation list.
    Crl,
}

impl Entry {
    /// From a GUID, its fields in network order as Linux and QEMU write them.
    const fn from_guid(guid: [u8; 16]) -> Option<Self> {
        match u128::from_be_bytes(guid) {
            0xc0b406a4_a803_4952_9743_3fb6014cd0ae => Some(Self::Ark),
            0x4ab7b379_bbac_4fe4_a02f_05aef327c782 => Some(Self::Ask),
            0x63da758d_e664_4564_adc5_f4b93be8accd => Some(Self::Vcek),
            0xa8074bc2_a25a_483e_aae6_39c045a0b8a1 => Some(Self::Vlek),
            0x92f81bc3_5811_4d3d_97ff_d19f88dc67ea => Some(Self::Crl),
            _ => None,
        }
    }
}

/// Certificates out of a table, unproven. Entries of unknown kinds are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertTable<'a> {
    found: Vec<(Entry, &'a [u8])>,
}

impl<'a> CertTable<'a> {
    /// Reads a table.
    ///
    /// # Errors
    /// [`SnpError::Table`]: the first check that fails.
    pub fn parse(table: &'a [u8]) -> Result<Self, SnpError> {
        if table.len() > limits::CERT_TABLE {
            return Err(refuse(TableCheck::Length, limits::CERT_TABLE));
        }
        let (entries, behind) = entries(table)?;
        let mut covered: Vec<(usize, usize)> = Vec::new();
        let mut guids: Vec<[u8; 16]> = Vec::new();
        let mut found = Vec::new();
        for (place, guid, offset, length) in entries {
            if guids.contains(&guid) {
                return Err(refuse(TableCheck::Repeated, place));
            }
            guids.push(guid);
            let outside = refuse(TableCheck::Bounds, place);
            let end = offset.checked_add(length).ok_or(outside)?;
            if offset < behind {
                return Err(outside);
            }
            let content = table.get(offset..end).ok_or(outside)?;
            covered.push((offset, end));
            if let Some(entry) = Entry::from_guid(guid) {
                found.push((entry, content));
            }
        }
        no_gaps(table, behind, covered)?;
        Ok(Self { found })
    }

    /// The bytes of one entry.
    #[must_use]
    pub fn get(&self, entry: Entry) -> Option<&'a [u8]> {
        self.found
            .iter()
            .find(|(kind, _)| *kind == entry)
            .map(|(_, content)| *content)
    }
}

const fn refuse(check: TableCheck, offset: usize) -> SnpError {
    SnpError::Table { check, offset }
}

/// Where an entry is, its GUID, offset and length.
type Row = (usize, [u8; 16], usize, usize);

/// The entries, and where the first certificate may begin.
fn entries(table: &[u8]) -> Result<(Vec<Row>, usize), SnpError> {
    let mut found = Vec::new();
    let (rows, _) = table.as_chunks::<ENTRY>();
    for (index, row) in rows.iter().enumerate() {
        let place = index.saturating_mul(ENTRY);
        if index > limits::CERT_TABLE_ENTRIES {
            return Err(refuse(TableCheck::Entries, place));
        }
        if row.iter().all(|byte| *byte == 0) {
            return Ok((found, place.saturating_add(ENTRY)));
        }
        let number = |from: usize| {
            let bytes = row.get(from..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let guid = row.first_chunk::<16>().copied();
        match (guid, number(16), number(20)) {
            (Some(guid), Some(offset), Some(length)) => found.push((place, guid, offset, length)),
            _ => return Err(refuse(TableCheck::Entries, place)),
        }
    }
    Err(refuse(TableCheck::Entries, table.len()))
}

/// Zeros wherever no entry is, and no byte in two.
fn no_gaps(table: &[u8], behind: usize, mut covered: Vec<(usize, usize)>) -> Result<(), SnpError> {
    covered.sort_unstable();
    covered.push((table.len(), table.len()));
    let mut reached = behind;
    for (start, end) in covered {
        let gap = table.get(reached..start);
        if !gap.is_some_and(|gap| gap.iter().all(|byte| *byte == 0)) {
            return Err(refuse(TableCheck::Gaps, reached.min(start)));
        }
        reached = end;
    }
    Ok(())
}
