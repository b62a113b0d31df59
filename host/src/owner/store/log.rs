//! The release log in the store: appended in one transaction, read in order.
//!
//! Why apart: reading needs no key, so that anyone with the file can check it.
//!
//! # Invariants
//! An entry is durable when [`Store::append`] returns. Two brokers on one store cannot fork the chain: the
//! previous entry is read under the write lock.

use std::path::Path;

use anchorhold_encoding::{Digest, Preimage};
use rusqlite::{TransactionBehavior, params};

use super::{Store, connect_existing, optional, schema};
use crate::owner::error::StoreError;
use crate::owner::release_log::{self, Entry, Event, StoredEntry};

impl Store {
    /// Signs `event` into the chain. The entry is on disk when this returns.
    ///
    /// # Errors
    /// What the database says: then nothing was appended, and nothing may be released.
    pub fn append(&mut self, event: Event) -> Result<Entry, StoreError> {
        let change = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last = optional(change.query_row(
            "SELECT sequence, hash FROM release_log ORDER BY sequence DESC LIMIT 1",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        ))?;
        let (sequence, previous) = match last {
            None => (1, release_log::genesis(&self.keys.identity().release_key)),
            Some((sequence, hash)) => (
                sequence
                    .checked_add(1)
                    .ok_or(StoreError::Corrupt("a sequence number"))?,
                hash.parse().map_err(|_| StoreError::Corrupt("a log hash"))?,
            ),
        };
        let number = u64::try_from(sequence).map_err(|_| StoreError::Corrupt("a sequence number"))?;
        let entry = Entry::new(number, previous, event);
        let bytes = entry.encode();
        let preimage: Preimage = release_log::preimage(&bytes);
        let signature = self.keys.sign_release(preimage.as_bytes());
        change.execute(
            "INSERT INTO release_log (sequence, entry, hash, signature) VALUES (?1, ?2, ?3, ?4)",
            params![
                sequence,
                bytes,
                preimage.sha256().to_string(),
                signature.as_bytes().as_slice()
            ],
        )?;
        change.commit()?;
        Ok(entry)
    }
}

/// Every entry of the store in `folder` as it is stored, ascending, given to `each`.
///
/// # Errors
/// What the database says, or what `each` says first.
pub fn read<E: From<StoreError>>(
    folder: &Path,
    mut each: impl FnMut(StoredEntry) -> Result<(), E>,
) -> Result<(), E> {
    let connection = connect_existing(folder)?;
    schema::read(&connection)?;
    let mut statement = connection
        .prepare("SELECT sequence, entry, hash, signature FROM release_log ORDER BY sequence")
        .map_err(StoreError::from)?;
    let mut rows = statement.query([]).map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        let field = |_: rusqlite::Error| StoreError::Corrupt("a log entry");
        let sequence: i64 = row.get(0).map_err(field)?;
        let hash: String = row.get(2).map_err(field)?;
        let signature: Vec<u8> = row.get(3).map_err(field)?;
        each(StoredEntry {
            sequence: u64::try_from(sequence).map_err(|_| StoreError::Corrupt("a sequence number"))?,
            entry: row.get(1).map_err(field)?,
            hash: hash.parse().map_err(|_| StoreError::Corrupt("a log hash"))?,
            signature: Digest::from_slice(&signature).ok_or(StoreError::Corrupt("a signature"))?,
        })?;
    }
    Ok(())
}
