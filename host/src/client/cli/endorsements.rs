//! `client endorsements`: what vendors sign, fetched, kept, bundled and shown.
//!
//! Why apart: the only commands of a client that talk to somebody else than its enclave, and to no enclave at all.
//!
//! # Invariants
//! Shows and carries; decides nothing. What no vendor is proven to have signed is not kept. Nothing expired goes into a bundle. Standard output is the listing, one row an
//! item; what is missing and why goes to standard error and, with JSON, into the document as well.

use std::path::{Path, PathBuf};

use anchorhold_attestation::snp::Product;
use anchorhold_attestation::{Endorsement, EndorsementKind, Endorsements, limits as formats};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::files::read;
use crate::client::limits::FILE_BYTES;
use crate::clock::Clock;
use crate::endorsements::cache::{Cache, replace};
use crate::endorsements::http::{Http, Times};
use crate::endorsements::item::{Item, Update};
use crate::endorsements::listing::{self, Row};
use crate::endorsements::origin::PlainHttp;
use crate::endorsements::pacing::Pacing;
use crate::endorsements::pem;
use crate::endorsements::store::{Freshness, Held, Store};
use crate::endorsements::vendor::{Sources, Vendor};
use crate::endorsements::wanted::{Choices, Wanted};
use crate::error::{Exit, Explain, Failure};
use crate::limits;
use crate::output::Output;
use crate::trust::Verifier;

/// What a client does with endorsements.
#[derive(Subcommand)]
pub enum EndorsementsCommand {
    /// Fetch what a piece of evidence needs from its vendors; what is kept and valid is not asked for again
    Fetch {
        /// For what
        #[command(flatten)]
        about: About,
        /// Where from
        #[command(flatten)]
        from: Box<Services>,
        /// The folder to keep it in
        #[arg(long, value_name = "DIR", default_value = "endorsements")]
        cache: PathBuf,
        /// Ask for everything anew
        #[arg(long)]
        anew: bool,
        /// Believe the root certificates in this folder and not the vendors': for test hierarchies
        #[arg(long, value_name = "DIR")]
        anchors: Option<PathBuf>,
    },
    /// Put what is kept and valid into one file, for a room without a network or for `operator endorse`
    Bundle {
        /// The file to write
        out: PathBuf,
        /// The folder it is kept in
        #[arg(long, value_name = "DIR", default_value = "endorsements")]
        cache: PathBuf,
        /// Add a file of your own, such as a VLEK out of a certificate table: amd-vek=vlek.der
        #[arg(long, value_name = "KIND=FILE", value_parser = addition)]
        with: Vec<(EndorsementKind, PathBuf)>,
    },
    /// List a bundle or a cache folder: what, whose, until when. Status 1 when anything in it is not valid now
    Show {
        /// A bundle's file or a cache's folder
        path: PathBuf,
    },
}

/// Evidence that needs endorsements.
#[derive(Args)]
pub struct About {
    /// Evidence, or an enclave's answer to a nonce, as JSON
    #[arg(long = "for", value_name = "FILE", conflicts_with_all = ["report", "platform"])]
    evidence: Option<PathBuf>,
    /// A bare report as its platform made it
    #[arg(long, value_name = "FILE", requires = "platform")]
    report: Option<PathBuf>,
    /// Which platform made the bare report
    #[arg(long, requires = "report")]
    platform: Option<Bare>,
    /// The device's certificates as PEM, its own first: with --platform nvidia
    #[arg(long, value_name = "FILE", requires = "report")]
    certificates: Option<PathBuf>,
    /// The processor of an SEV-SNP report of version 2, which does not name it
    #[arg(long)]
    product: Option<Line>,
    /// Intel's edition of TCB information: early is what Intel knows, standard what platforms had time to install
    #[arg(long, value_enum, default_value = "standard")]
    update: Edition,
}

/// Platforms whose reports stand by themselves.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bare {
    Snp,
    Tdx,
    Nvidia,
}

/// AMD's product lines.
#[derive(Clone, Copy, ValueEnum)]
enum Line {
    Milan,
    /// Also Bergamo and Siena
    Genoa,
    Turin,
}

/// Intel's editions.
#[derive(Clone, Copy, ValueEnum)]
enum Edition {
    Standard,
    Early,
}

/// Services other than the vendors' own.
#[derive(Args)]
pub struct Services {
    /// A mirror of AMD's key distribution service
    #[arg(long, value_name = "URL")]
    kds_url: Option<String>,
    /// A PCCS, or another mirror of Intel's service
    #[arg(long, value_name = "URL")]
    pcs_url: Option<String>,
    /// A mirror of NVIDIA's RIM service
    #[arg(long, value_name = "URL")]
    rim_url: Option<String>,
    /// A mirror of NVIDIA's OCSP responder
    #[arg(long, value_name = "URL")]
    ocsp_url: Option<String>,
    /// Authorities of mirrors' certificates beside the public web's, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Let http:// go to other machines too: whoever is on the way can keep newer items from you
    #[arg(long)]
    dangerously_plain_http: bool,
}

fn addition(text: &str) -> Result<(EndorsementKind, PathBuf), String> {
    let (kind, file) = text.split_once('=').ok_or("not KIND=FILE")?;
    let kind = EndorsementKind::ALL
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(|| {
            let names = EndorsementKind::ALL.map(EndorsementKind::name);
            format!("the kind is none of {}", names.join(", "))
        })?;
    Ok((kind, file.into()))
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub(super) async fn run(command: &EndorsementsCommand, output: &Output) -> Result<Exit, Failure> {
    let clock = Clock::system();
    match command {
        EndorsementsCommand::Fetch {
            about,
            from,
            cache,
            anew,
            anchors,
        } => {
            let believed = Verifier::read(anchors.as_deref(), None)?.anchors().clone();
            let (cache, vendor) = (Cache::open(cache)?, from.vendor(&clock)?);
            let store = Store::new(cache, vendor, believed, clock.clone());
            fetch(about.wanted()?, &store, *anew, &clock, output).await
        }
        EndorsementsCommand::Bundle { out, cache, with } => bundle(out, cache, with, &clock, output),
        EndorsementsCommand::Show { path } => show(path, &clock, output),
    }
}

impl About {
    fn wanted(&self) -> Result<Wanted, Failure> {
        let choices = Choices {
            product: self.product.map(|line| match line {
                Line::Milan => Product::Milan,
                Line::Genoa => Product::Genoa,
                Line::Turin => Product::Turin,
            }),
            update: match self.update {
                Edition::Standard => Update::Standard,
                Edition::Early => Update::Early,
            },
        };
        if let Some(file) = &self.evidence {
            let limit = u64::try_from(formats::ATTESTATION_DOCUMENT).unwrap_or(u64::MAX);
            return Ok(Wanted::by_file(&read(file, limit)?, choices)?);
        }
        let (Some(file), Some(platform)) = (&self.report, self.platform) else {
            let hint = "name evidence with --for, or a report with --report and --platform";
            return Err(Failure::usage("usage", "there is nothing to fetch for", hint));
        };
        let report = read(file, FILE_BYTES)?;
        Ok(match platform {
            Bare::Snp => Wanted::by_snp_report(&report, choices)?,
            Bare::Tdx => Wanted::by_quote(&report, choices)?,
            Bare::Nvidia => {
                let certificates = self.certificates.as_deref().map(certificates).transpose()?;
                Wanted::by_device(&report, &certificates.unwrap_or_default())?
            }
        })
    }
}

impl Services {
    fn vendor(&self, clock: &Clock) -> Result<Vendor, Failure> {
        let plain = if self.dangerously_plain_http {
            PlainHttp::DangerouslyAnywhere
        } else {
            PlainHttp::LoopbackOnly
        };
        let [kds, pcs, rim, ocsp] =
            [&self.kds_url, &self.pcs_url, &self.rim_url, &self.ocsp_url].map(|url| url.as_deref());
        let sources = Sources::new(kds, pcs, rim, ocsp, plain).map_err(|error| {
            let hint = "a service's address is https://HOST or https://HOST:PORT, with a path if it has one";
            Failure::usage("endorsement-url", error.to_string(), hint)
        })?;
        let extra = self
            .ca
            .as_deref()
            .map(certificates)
            .transpose()?
            .unwrap_or_default();
        let http = Http::new(&extra, clock, Times::default()).map_err(|_| {
            let hint = "the file must hold certificates of authorities as PEM";
            Failure::new("endorsement-ca", "a certificate in --ca cannot be used", hint)
        })?;
        Ok(Vendor::new(http, sources, Pacing::system(), clock.clone()))
    }
}

fn certificates(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let text = read(file, limits::CA_FILE_BYTES)?;
    pem::read(&text, pem::CERTIFICATE, limits::CA_CERTIFICATES).ok_or_else(|| {
        let message = format!("{} holds no certificates as PEM", file.display());
        Failure::new(
            "certificates",
            message,
            "the file must hold -----BEGIN CERTIFICATE-----",
        )
    })
}

#[derive(Serialize)]
struct Fetched {
    items: Vec<Row>,
    missing: Vec<Missing>,
    /// A VLEK signed the report: it comes with the report and from nowhere else.
    vlek_comes_with_the_report: bool,
}

#[derive(Serialize)]
struct Missing {
    item: String,
    code: &'static str,
    message: String,
    hint: String,
}

impl Missing {
    /// Says it, and keeps it for the document.
    fn new(item: &Item, error: &impl Explain, output: &Output) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        output.talk(&format!("missing: {message}\n  hint: {hint}"));
        Self {
            item: item.name(),
            code: error.code(),
            message,
            hint,
        }
    }
}

async fn fetch(
    mut wanted: Wanted,
    store: &Store,
    anew: bool,
    clock: &Clock,
    output: &Output,
) -> Result<Exit, Failure> {
    let (mut items, mut missing) = (Vec::new(), Vec::new());
    let mut next = 0;
    // Whom a RIM file's signer is certified by stands in the file: it adds to what is wanted.
    while let Some(item) = wanted.items.get(next).cloned() {
        next += 1;
        let found = if anew {
            store.refresh(&item, None).await
        } else {
            store.fresh(&item, None).await
        };
        match found {
            Ok(held) => {
                warn(&held, output);
                if held.endorsement.kind() == EndorsementKind::NvidiaRim {
                    match Wanted::by_rim(held.endorsement.body()) {
                        Ok(more) => wanted.join(more),
                        Err(error) => missing.push(Missing::new(&item, &error, output)),
                    }
                }
                let mut row = Row::new(&held.endorsement, clock.now());
                row.from_where = Some(word(held.freshness).to_owned());
                items.push(row);
            }
            Err(error) => missing.push(Missing::new(&item, &error, output)),
        }
    }
    if wanted.vlek {
        output.talk(
            "note: a VLEK signed this report. AMD hands VLEKs to providers only: take it from the certificate table \
             that came with the report (bundle --with amd-vek=FILE)",
        );
    }
    let exit = if missing.is_empty() {
        Exit::Yes
    } else {
        Exit::Error
    };
    let fetched = Fetched {
        items,
        missing,
        vlek_comes_with_the_report: wanted.vlek,
    };
    output.data(&fetched, || listing::text(&fetched.items).trim_end().to_owned())?;
    Ok(exit)
}

fn word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Fetched => "fetched",
        Freshness::Kept => "kept",
        Freshness::Stale(_) => "kept: vendor not available",
        Freshness::Expired { .. } => "expired",
    }
}

fn warn(held: &Held, output: &Output) {
    if let Freshness::Stale(Some(why)) = held.freshness {
        let whose = &held.said.whose;
        output.talk(&format!(
            "warning: {whose}: {why}; the kept one is used, it is valid"
        ));
    }
    if let Some(path) = &held.poisoned {
        let path = path.display();
        output.talk(&format!(
            "warning: {path} was not the item its name says, or no vendor's; it was replaced"
        ));
    }
}

#[derive(Serialize)]
struct Bundled {
    file: PathBuf,
    items: Vec<Row>,
    left_out: Vec<Row>,
    poisoned: Vec<PathBuf>,
}

fn bundle(
    out: &Path,
    cache: &Path,
    with: &[(EndorsementKind, PathBuf)],
    clock: &Clock,
    output: &Output,
) -> Result<Exit, Failure> {
    let (kept, poisoned) = Cache::open(cache)?.all()?;
    let mut endorsements: Vec<Endorsement> = kept.into_iter().map(|cached| cached.endorsement).collect();
    for (kind, file) in with {
        let body = read(file, u64::try_from(kind.limit()).unwrap_or(u64::MAX))?;
        endorsements.push(Endorsement::new(*kind, body.to_vec())?);
    }
    let now = clock.now();
    let (valid, left_out): (Vec<_>, Vec<_>) = endorsements
        .into_iter()
        .map(|endorsement| (Row::new(&endorsement, now), endorsement))
        .partition(|(row, _)| row.is_valid());
    let (rows, valid): (Vec<_>, Vec<_>) = valid.into_iter().unzip();
    let left_out: Vec<_> = left_out.into_iter().map(|(row, _)| row).collect();
    for path in &poisoned {
        let path = path.display();
        output.talk(&format!(
            "warning: {path} is not the item its name says; it is left out"
        ));
    }
    if !left_out.is_empty() {
        output.talk("warning: left out, because they are not valid now:");
        output.talk(&listing::text(&left_out));
    }
    if valid.is_empty() {
        let hint = "fetch first: anchorhold client endorsements fetch --for FILE";
        return Err(Failure::new(
            "endorsement-bundle",
            "there is nothing to put into a bundle",
            hint,
        ));
    }
    let bundle = Endorsements::new(valid).map_err(|error| {
        let hint = "keep each machine's endorsements in a folder of their own: --cache";
        Failure::new("endorsement-bundle", error.to_string(), hint)
    })?;
    replace(out, &bundle.to_bundle()).map_err(|error| {
        let message = format!("cannot write {}: {}", out.display(), error.kind());
        Failure::new(
            "endorsement-bundle",
            message,
            "check the folder and its permissions",
        )
    })?;
    let bundled = Bundled {
        file: out.to_owned(),
        items: rows,
        left_out,
        poisoned,
    };
    output.data(&bundled, || listing::text(&bundled.items).trim_end().to_owned())?;
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct Shown {
    items: Vec<Row>,
    poisoned: Vec<PathBuf>,
}

fn show(path: &Path, clock: &Clock, output: &Output) -> Result<Exit, Failure> {
    let (endorsements, poisoned) = if path.is_dir() {
        let (kept, poisoned) = Cache::open(path)?.all()?;
        (
            kept.into_iter().map(|cached| cached.endorsement).collect(),
            poisoned,
        )
    } else {
        let limit = u64::try_from(formats::ENDORSEMENT_BUNDLE).unwrap_or(u64::MAX);
        let bundle = Endorsements::from_bundle(&read(path, limit)?)?;
        (bundle.items().to_vec(), Vec::new())
    };
    let now = clock.now();
    let mut items: Vec<Row> = endorsements.iter().map(|item| Row::new(item, now)).collect();
    // What ends first is what somebody has to do something about.
    items.sort_by_key(|row| row.until.unwrap_or(0));
    for path in &poisoned {
        let path = path.display();
        output.talk(&format!(
            "warning: {path} is not the item its name says; it is never used"
        ));
    }
    let good = poisoned.is_empty() && items.iter().all(Row::is_valid);
    let shown = Shown { items, poisoned };
    output.data(&shown, || listing::text(&shown.items).trim_end().to_owned())?;
    output.talk("what items say of themselves; whoever uses them proves it");
    Ok(if good { Exit::Yes } else { Exit::Error })
}

#[cfg(test)]
mod tests;
