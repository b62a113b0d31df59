//! The project's conventions as tests, so that they hold without anybody remembering them.
//!
//! - `layout`: names, sizes, headers, where unsafe code and ciphers may stand
//! - `dependencies`: which crate may use which, and a reason for each
//! - `documents`: guarantees name tests that exist, vectors say where they come from

#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

mod dependencies;
mod documents;
mod layout;
