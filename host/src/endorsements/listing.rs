//! Items as people and scripts see them.
//!
//! Why apart: whoever is woken because something is about to expire reads this, and nothing else of this folder.
//!
//! # Invariants
//! Everything shown is what the item says of itself: nothing here is proven, and the text says so. Days are whole days
//! that are left; an expired item has a negative number.

use anchorhold_attestation::{Endorsement, Timestamp};
use anchorhold_encoding::sha256;
use serde::Serialize;

use crate::output::table;

const DAY: u64 = 24 * 60 * 60;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its kind.
    pub kind: &'static str,
    /// Whose it says it is.
    pub whose: String,
    /// `valid`, `expires-soon`, `expired`, `not-yet-valid` or `unreadable`.
    pub state: &'static str,
    /// Seconds since 1970; absent when it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Seconds since 1970; absent when it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whole days left; negative when it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Number of a list, or Intel's evaluation number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Where it came from, when it was just fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_where: Option<String>,
}

impl Row {
    /// One endorsement as of `now`.
    #[must_use]
    pub fn new(endorsement: &Endorsement, now: Timestamp) -> Self {
        let kind = endorsement.kind().name();
        let sha256 = sha256(&[endorsement.body()]).to_string();
        let Ok(said) = endorsement.said() else {
            return Self {
                kind,
                whose: "cannot be read".to_owned(),
                state: "unreadable",
                from: None,
                until: None,
                days_left: None,
                number: None,
                sha256,
                from_where: None,
            };
        };
        Self {
            kind,
            whose: said.whose.to_string(),
            state: state(said.from, said.until, now),
            from: Some(said.from.unix()),
            until: Some(said.until.unix()),
            days_left: Some(days_left(said.until, now)),
            number: said.number,
            sha256,
            from_where: None,
        }
    }

    /// It may be used now, by what it says of itself.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        matches!(self.state, "valid" | "expires-soon")
    }
}

/// Soon is within the last tenth of its life, or the last week if that is shorter.
fn state(from: Timestamp, until: Timestamp, now: Timestamp) -> &'static str {
    let life = until.since(from).unwrap_or(0);
    match (now < from, until.since(now)) {
        (true, _) => "not-yet-valid",
        (false, None) => "expired",
        (false, Some(left)) if left < (life / 10).min(7 * DAY) => "expires-soon",
        (false, Some(_)) => "valid",
    }
}

fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    let days = |seconds: u64| i64::try_from(seconds / DAY).unwrap_or(i64::MAX);
    match (until.since(now), now.since(until)) {
        (Some(left), _) => days(left),
        (None, Some(over)) => -1 - days(over),
        (None, None) => 0,
    }
}

/// Rows as a table.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let date = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), date);
        let left = match row.days_left {
            Some(days) if days < 0 => format!("{} days ago", -days),
            Some(0) => "today".to_owned(),
            Some(days) => format!("{days} days"),
            None => "-".to_owned(),
        };
        [
            row.kind.to_owned(),
            row.whose.clone(),
            row.state.replace('-', " "),
            date(row.from),
            date(row.until),
            left,
            row.number.clone().unwrap_or_else(|| "-".to_owned()),
            row.sha256.get(..16).unwrap_or(&row.sha256).to_owned(),
            row.from_where.clone().unwrap_or_default(),
        ]
    };
    let head = [
        "kind", "whose", "state", "from", "until", "left", "number", "sha256", "",
    ];
    table(head, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// `YYYY-MM-DD hh:mm` UTC of seconds since 1970 (proleptic Gregorian calendar).
#[must_use]
pub fn date(seconds: u64) -> String {
    let (mut days, rest) = (seconds / DAY, seconds % DAY);
    let mut year: u64 = 1970;
    // Centuries of exactly 400 years first: a date may be "never".
    year += 400 * (days / 146_097);
    days %= 146_097;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02} {:02}:{:02}",
        days + 1,
        rest / 3600,
        rest / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_767_225_599, "2025-12-31 23:59"),
            (1_894_708_800, "2030-01-15 12:00"),
            (4_107_542_400, "2100-03-01 00:00"),
            (253_402_300_799, "9999-12-31 23:59"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn what_is_left_is_whole_days() {
        let at = Timestamp::from_unix;
        let until = at(100 * DAY);
        for (now, days, word) in [
            (0, 100, "valid"),
            (50 * DAY, 50, "valid"),
            (94 * DAY, 6, "expires-soon"),
            (100 * DAY - 1, 0, "expires-soon"),
            (100 * DAY, 0, "expires-soon"),
            (100 * DAY + 1, -1, "expired"),
            (102 * DAY, -3, "expired"),
        ] {
            assert_eq!(days_left(until, at(now)), days, "{now}");
            assert_eq!(state(at(0), until, at(now)), word, "{now}");
        }
        assert_eq!(state(at(5), until, at(4)), "not-yet-valid");
    }
}
