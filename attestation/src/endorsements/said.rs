//! What an endorsement says of itself, for whoever fetches, keeps and shows it.
//!
//! Why apart: a cache must know how long an item is good for and a person what it is, both before and without any proof.
//! A verdict never rests on this: [`crate::verify()`] reads the bytes again and proves them.
//!
//! # Invariants
//! Nothing here is proven. The window is read from what the vendor signed, never from how it was transported. Text is
//! printable ASCII of limited length.

use std::fmt;

use x509_cert::der::Decode as _;
use x509_cert::name::Name;

use super::{Endorsement, EndorsementKind};
use crate::nvidia;
use crate::snp::{Product, SignerKind, Statements, Tcb};
use crate::tdx::Collateral;
use crate::time::Timestamp;
use crate::x509::{Certificate, Crl, OcspResponse};

/// Characters of a name that are shown.
const TEXT: usize = 64;

/// Whose an endorsement says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whose {
    /// One AMD chip's at one TCB: a VCEK.
    AmdChip {
        /// The product line.
        product: Product,
        /// The chip, padded with zeros as in a report.
        hardware_id: [u8; 64],
        /// The TCB.
        tcb: Tcb,
    },
    /// A cloud provider's at one TCB: a VLEK.
    AmdProvider {
        /// The product line.
        product: Product,
        /// What AMD calls the provider.
        provider: String,
        /// The TCB.
        tcb: Tcb,
    },
    /// Intel's family of platforms.
    IntelFamily {
        /// FMSPC.
        fmspc: [u8; 6],
    },
    /// An NVIDIA chip's firmware or driver.
    NvidiaFirmware {
        /// The chip, such as `GH100`.
        product: String,
        /// The version of driver or BIOS.
        version: String,
    },
    /// A certificate authority, or the issuer of a list, by its common name.
    Authority {
        /// The name.
        name: String,
    },
    /// Certificates that an OCSP response answers for.
    Certificates {
        /// Their serial numbers, big endian without leading zeros.
        serials: Vec<Vec<u8>>,
    },
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmdChip {
                product,
                hardware_id,
                tcb,
            } => {
                write!(f, "{product} chip ")?;
                // A chip is recognised by its first bytes; the rest is in the file.
                for byte in hardware_id.iter().take(8) {
                    write!(f, "{byte:02x}")?;
                }
                write!(f, " at {tcb}")
            }
            Self::AmdProvider {
                product,
                provider,
                tcb,
            } => write!(f, "{product} provider {provider} at {tcb}"),
            Self::IntelFamily { fmspc } => {
                f.write_str("FMSPC ")?;
                fmspc.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::NvidiaFirmware { product, version } => write!(f, "{product} {version}"),
            Self::Authority { name } => f.write_str(name),
            Self::Certificates { serials } => {
                f.write_str("certificate")?;
                serials
                    .iter()
                    .try_for_each(|serial| write!(f, " {}", hexadecimal(serial)))
            }
        }
    }
}

/// What an endorsement says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whose it is.
    pub whose: Whose,
    /// The first second at which all of it is valid.
    pub from: Timestamp,
    /// The last second at which all of it is valid.
    pub until: Timestamp,
    /// The number of a revocation list, or Intel's `tcbEvaluationDataNumber`.
    pub number: Option<String>,
}

impl Said {
    /// Valid at `at`, as far as it says itself.
    #[must_use]
    pub fn valid_at(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }
}

/// An endorsement's bytes are not of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOfItsKind(
    /// What it was supposed to be.
    pub EndorsementKind,
);

impl NotOfItsKind {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "the bytes are not what the vendor publishes; fetch them anew, and from the vendor itself"
    }
}

impl fmt::Display for NotOfItsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes are no {}", self.0)
    }
}

impl std::error::Error for NotOfItsKind {}

impl Endorsement {
    /// Reads what it says of itself; nothing is proven.
    ///
    /// # Errors
    /// [`NotOfItsKind`] when the body is not what its kind says.
    pub fn said(&self) -> Result<Said, NotOfItsKind> {
        let body = self.body.as_slice();
        match self.kind {
            EndorsementKind::AmdVek => vek(body),
            EndorsementKind::AmdAuthority | EndorsementKind::ProviderAuthority => authority(body),
            EndorsementKind::AmdCrl => list(body),
            EndorsementKind::IntelCollateral => collateral(body),
            EndorsementKind::NvidiaRim => rim(body),
            EndorsementKind::NvidiaOcsp => ocsp(body),
        }
        .ok_or(NotOfItsKind(self.kind))
    }
}

fn vek(der: &[u8]) -> Option<Said> {
    let certificate = Certificate::parse(der).ok()?;
    let Statements { product, kind, tcb } = Statements::read(&certificate).ok()?;
    let whose = match kind {
        SignerKind::Vcek { hardware_id } => Whose::AmdChip {
            product,
            hardware_id,
            tcb,
        },
        SignerKind::Vlek { provider } => Whose::AmdProvider {
            product,
            provider: printable(&provider)?,
            tcb,
        },
    };
    Some(Said {
        whose,
        from: certificate.not_before(),
        until: certificate.not_after(),
        number: None,
    })
}

fn authority(der: &[u8]) -> Option<Said> {
    let certificate = Certificate::parse(der).ok()?;
    Some(Said {
        whose: Whose::Authority {
            name: common_name(certificate.subject())?,
        },
        from: certificate.not_before(),
        until: certificate.not_after(),
        number: None,
    })
}

fn list(der: &[u8]) -> Option<Said> {
    let list = Crl::parse(der).ok()?;
    let (from, until, number) = list.said();
    Some(Said {
        whose: Whose::Authority {
            name: common_name(list.issuer())?,
        },
        from,
        until,
        number: Some(hexadecimal(number)),
    })
}

fn collateral(json: &[u8]) -> Option<Said> {
    let said = Collateral::parse(json).ok()?.said()?;
    Some(Said {
        whose: Whose::IntelFamily { fmspc: said.fmspc },
        from: said.from,
        until: said.until,
        number: Some(said.evaluation.to_string()),
    })
}

fn rim(xml: &[u8]) -> Option<Said> {
    let (rim, from, until) = nvidia::rim_said(xml).ok()?;
    Some(Said {
        whose: Whose::NvidiaFirmware {
            product: printable(rim.product())?,
            version: printable(rim.version())?,
        },
        from,
        until,
        number: None,
    })
}

fn ocsp(der: &[u8]) -> Option<Said> {
    let (from, until, serials) = OcspResponse::parse(der).ok()?.said()?;
    let plain = |serial: Vec<u8>| serial.into_iter().skip_while(|byte| *byte == 0).collect();
    Some(Said {
        whose: Whose::Certificates {
            serials: serials.into_iter().map(plain).collect(),
        },
        from,
        until,
        number: None,
    })
}

/// A list's number as hexadecimal digits without leading zeros.
fn hexadecimal(number: &[u8]) -> String {
    let digits: String = number.iter().map(|byte| format!("{byte:02x}")).collect();
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}

fn common_name(name: &[u8]) -> Option<String> {
    let name = Name::from_der(name).ok()?;
    printable(&name.common_name().ok()??.value())
}

/// Text that may be shown on a terminal.
fn printable(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    (!text.is_empty() && text.len() <= TEXT && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
