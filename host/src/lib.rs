//! Everything outside the confidential VM, by role.
//!
//! Why apart: the model owner, the client, the operator and the publisher do not trust one another; a role
//! that imports another would borrow a trust it does not have. One binary, `anchorhold`, is their door.
//!
//! - [`owner`]: seals models, keeps their keys, releases them to appraised evidence
//! - [`client`]: verifies an enclave, then talks to it over bound connections only
//! - [`operator`]: launches enclaves and looks at them from outside, trusting and trusted with nothing
//! - [`publisher`]: computes reference values, signs them, keeps a log of them and watches it
//! - [`endorsements`]: what vendors sign, fetched and kept; it decides nothing
//! - [`cli`]: arguments to roles; [`output`], [`error`], [`progress`]: what a person or a script sees
//! - [`tls`], [`clock`], [`limits`], [`secret_file`], [`state_file`], [`stop`], [`measurement`]: what several roles need and
//!   no role may weaken
//!
//! # Invariants
//! Roles never import one another. Standard output is data, standard error is talk. Time enters only
//! through a [`clock::Clock`].

#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
pub mod clock;
pub mod endorsements;
pub mod error;
pub mod limits;
pub mod measurement;
pub mod operator;
pub mod output;
pub mod owner;
pub mod progress;
pub mod publisher;
pub mod secret_file;
pub mod state_file;
pub mod stop;
pub mod tls;
pub mod trust;
