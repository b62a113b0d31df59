//! What a vendor can be asked for.
//!
//! Why apart: the name of an item is its place in the cache, and whether an answer is one to the question must not
//! depend on who answered.
//!
//! # Invariants
//! Two items have the same name only if the same answer is right for both. An answer is compared with what it says of
//! itself; that it says so truthfully is the verifier's business.

use std::fmt;
use std::fmt::Write as _;

use anchorhold_attestation::EndorsementKind;
use anchorhold_attestation::endorsements::{Said, Whose};
use anchorhold_attestation::snp::{Component, Product, Tcb};
use anchorhold_attestation::tdx::PckAuthority;
use anchorhold_encoding::{Digest, sha256};

use super::ocsp::Question;

/// Which of AMD's two authorities below the ARK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmdSigner {
    /// The ASK, which issues VCEKs.
    Vcek,
    /// The ASVK, which issues VLEKs.
    Vlek,
}

impl AmdSigner {
    /// AMD's word in an address.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vcek => "vcek",
            Self::Vlek => "vlek",
        }
    }
}

/// Which of Intel's two editions of TCB information (Intel PCS API v4, `update` of "Get TDX TCB Info").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// What platforms can be expected to have by now.
    Standard,
    /// As soon as Intel publishes it: platforms that wait for their vendor's firmware are out of date by it.
    Early,
}

impl Update {
    /// Intel's word in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Early => "early",
        }
    }
}

/// Something a vendor signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The certificate of a chip's key for one TCB.
    AmdVcek {
        /// The product line; Bergamo's and Siena's is Genoa.
        product: Product,
        /// The chip as a report names it: on Turin 8 bytes and zeros.
        hardware_id: [u8; 64],
        /// The reported TCB.
        tcb: Tcb,
    },
    /// The ASK or ASVK.
    AmdAuthority {
        /// The product line.
        product: Product,
        /// Which of the two.
        signer: AmdSigner,
    },
    /// The ARK's revocation list.
    AmdCrl {
        /// The product line.
        product: Product,
    },
    /// Everything Intel says about one family of platforms.
    IntelCollateral {
        /// FMSPC.
        fmspc: [u8; 6],
        /// Whose list of PCK certificates.
        authority: PckAuthority,
        /// Which edition.
        update: Update,
    },
    /// A reference integrity manifest by NVIDIA's name for it.
    NvidiaRim {
        /// Such as `NV_GPU_DRIVER_GH100_550.144.03`.
        id: String,
    },
    /// Whether one of NVIDIA's certificates stands.
    NvidiaOcsp(Box<Question>),
}

impl Item {
    /// What an answer to it is.
    #[must_use]
    pub const fn kind(&self) -> EndorsementKind {
        match self {
            Self::AmdVcek { .. } => EndorsementKind::AmdVek,
            Self::AmdAuthority { .. } => EndorsementKind::AmdAuthority,
            Self::AmdCrl { .. } => EndorsementKind::AmdCrl,
            Self::IntelCollateral { .. } => EndorsementKind::IntelCollateral,
            Self::NvidiaRim { .. } => EndorsementKind::NvidiaRim,
            Self::NvidiaOcsp(_) => EndorsementKind::NvidiaOcsp,
        }
    }

    /// Its name: the whole of what makes it another item than any other.
    #[must_use]
    pub fn name(&self) -> String {
        self.to_string()
    }

    /// SHA-256 of its name: its place in the cache.
    #[must_use]
    pub fn digest(&self) -> Digest<32> {
        sha256(&[self.name().as_bytes()])
    }

    /// The item that stands between this one and its root, where it does not come with it.
    #[must_use]
    pub fn authority(&self) -> Option<Self> {
        match self {
            Self::AmdVcek { product, .. } => Some(Self::AmdAuthority {
                product: *product,
                signer: AmdSigner::Vcek,
            }),
            _ => None,
        }
    }

    /// An endorsement of this kind that says `said` of itself is the one that was asked for.
    #[must_use]
    pub fn is_answered_by(&self, said: &Said) -> bool {
        match (self, &said.whose) {
            (
                Self::AmdVcek {
                    product,
                    hardware_id,
                    tcb,
                },
                Whose::AmdChip {
                    product: of,
                    hardware_id: chip,
                    tcb: at,
                },
            ) => (product, hardware_id, tcb) == (of, chip, at),
            (Self::AmdAuthority { product, signer }, Whose::Authority { name }) => {
                *name
                    == match signer {
                        AmdSigner::Vcek => format!("SEV-{product}"),
                        AmdSigner::Vlek => format!("SEV-VLEK-{product}"),
                    }
            }
            (Self::AmdCrl { product }, Whose::Authority { name }) => *name == format!("ARK-{product}"),
            (Self::IntelCollateral { fmspc, .. }, Whose::IntelFamily { fmspc: of }) => fmspc == of,
            // NVIDIA's names end in the version, a BIOS's without dots; the file itself does not hold its name.
            (Self::NvidiaRim { id }, Whose::NvidiaFirmware { version, .. }) => {
                let plain = version.replace('.', "").to_ascii_uppercase();
                let parts: Vec<&str> = id.split('_').collect();
                parts.last().is_some_and(|last| last == version || *last == plain)
            }
            (Self::NvidiaOcsp(question), Whose::Certificates { serials }) => {
                serials.iter().any(|serial| serial == question.serial())
            }
            _ => false,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmdVcek {
                product,
                hardware_id,
                tcb,
            } => {
                write!(
                    f,
                    "{} {product} {}",
                    self.kind(),
                    hardware_id_text(*product, hardware_id)
                )?;
                for component in Component::ALL {
                    if let Some(level) = tcb.component(component) {
                        write!(f, " {}={level}", component.name())?;
                    }
                }
                Ok(())
            }
            Self::AmdAuthority { product, signer } => {
                write!(f, "{} {product} {}", self.kind(), signer.name())
            }
            Self::AmdCrl { product } => write!(f, "{} {product}", self.kind()),
            Self::IntelCollateral {
                fmspc,
                authority,
                update,
            } => write!(
                f,
                "{} {} {} {}",
                self.kind(),
                hexadecimal(fmspc),
                authority.name(),
                update.name()
            ),
            Self::NvidiaRim { id } => write!(f, "{} {id}", self.kind()),
            Self::NvidiaOcsp(question) => {
                write!(
                    f,
                    "{} {}",
                    self.kind(),
                    hexadecimal(question.id_digest().as_bytes())
                )
            }
        }
    }
}

/// A hardware id as AMD's service writes it: 8 bytes on Turin, 64 before.
pub(super) fn hardware_id_text(product: Product, hardware_id: &[u8; 64]) -> String {
    hexadecimal(match product {
        Product::Turin => hardware_id.get(..8).unwrap_or(hardware_id),
        Product::Milan | Product::Genoa => hardware_id,
    })
}
