//! Versions of the firmware that everything rests on.
//!
//! Why apart: Turin orders the components otherwise, and a floor must never be compared with a neighbour.
//!
//! # Invariants
//! Components are compared one by one. There is no order of two whole TCB versions.

use std::fmt;

use crate::snp::Product;

/// A component of a TCB version (ABI specification 56860, tables "TCB_VERSION").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Firmware of the security processor's first stage; Turin only.
    Fmc,
    /// Boot loader of the security processor.
    BootLoader,
    /// Its operating system.
    Tee,
    /// The SNP firmware.
    Snp,
    /// Lowest microcode level of all cores.
    Microcode,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fmc, Self::BootLoader, Self::Tee, Self::Snp, Self::Microcode];

    /// Its name in the specification.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fmc => "FMC",
            Self::BootLoader => "BOOT_LOADER",
            Self::Tee => "TEE",
            Self::Snp => "SNP",
            Self::Microcode => "MICROCODE",
        }
    }
}

/// A TCB version, by component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcb {
    /// Turin only; `None` on products that have no such component.
    pub fmc: Option<u8>,
    /// Boot loader.
    pub boot_loader: u8,
    /// Operating system of the security processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// How a TCB version lies in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Milan and Genoa.
    Four,
    /// Turin.
    Five,
}

impl Layout {
    pub(super) const fn of(product: Product) -> Self {
        match product {
            Product::Milan | Product::Genoa => Self::Four,
            Product::Turin => Self::Five,
        }
    }

    /// Reads a TCB version; `Err` has the place of a reserved byte that is not zero.
    pub(super) const fn read(self, bytes: [u8; 8]) -> Result<Tcb, usize> {
        match (self, bytes) {
            (Self::Four, [boot_loader, tee, 0, 0, 0, 0, snp, microcode]) => Ok(Tcb {
                fmc: None,
                boot_loader,
                tee,
                snp,
                microcode,
            }),
            (Self::Five, [fmc, boot_loader, tee, snp, 0, 0, 0, microcode]) => Ok(Tcb {
                fmc: Some(fmc),
                boot_loader,
                tee,
                snp,
                microcode,
            }),
            (Self::Four, _) => Err(2),
            (Self::Five, _) => Err(4),
        }
    }
}

impl Tcb {
    /// One component; `None` when the product has none.
    #[must_use]
    pub const fn component(&self, component: Component) -> Option<u8> {
        match component {
            Component::Fmc => self.fmc,
            Component::BootLoader => Some(self.boot_loader),
            Component::Tee => Some(self.tee),
            Component::Snp => Some(self.snp),
            Component::Microcode => Some(self.microcode),
        }
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for component in Component::ALL {
            if let Some(level) = self.component(component) {
                write!(f, "{space}{} {level}", component.name())?;
                space = " ";
            }
        }
        Ok(())
    }
}
