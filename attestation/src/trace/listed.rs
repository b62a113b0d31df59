//! Every check of every platform, with what it demands and where that is specified.
//!
//! Why apart: one list for documents, for `explain` and for tests; an identifier that is not here does not exist.
//!
//! # Invariants
//! Word for word what the pages in docs/platforms say, in their order; each identifier once.

mod azure;
mod ccel;
mod nvidia;
mod provider;
mod snp;
mod tdx;
mod x509;

/// A check as the documentation lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The stable identifier.
    pub id: &'static str,
    /// What it demands.
    pub expected: &'static str,
    /// Where that is specified: a short name of [`Family::documents`], and the place in it.
    pub source: &'static str,
}

impl Listed {
    const fn new(id: &'static str, expected: &'static str, source: &'static str) -> Self {
        Self { id, expected, source }
    }

    /// The check of this identifier.
    #[must_use]
    pub fn of(id: &str) -> Option<&'static Self> {
        let mut all = Family::ALL.iter().flat_map(|family| family.checks());
        all.find(|listed| listed.id == id)
    }
}

/// Checks that are listed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Certificates and revocation lists, wherever they are not a platform's own affair.
    X509,
    /// AMD SEV-SNP.
    Snp,
    /// Intel TDX.
    Tdx,
    /// Event logs.
    Ccel,
    /// Azure's paravisor and its vTPM.
    Azure,
    /// NVIDIA's devices and RIM files.
    Nvidia,
    /// Google's vTPM.
    Google,
    /// AWS's NitroTPM.
    Nitro,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::X509,
        Self::Snp,
        Self::Tdx,
        Self::Ccel,
        Self::Azure,
        Self::Nvidia,
        Self::Google,
        Self::Nitro,
    ];

    /// What its identifiers begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X509 => "x509",
            Self::Snp => "snp",
            Self::Tdx => "tdx",
            Self::Ccel => "ccel",
            Self::Azure => "azure",
            Self::Nvidia => "nvidia",
            Self::Google => "google",
            Self::Nitro => "nitro",
        }
    }

    /// Its checks.
    #[must_use]
    pub const fn checks(self) -> &'static [Listed] {
        match self {
            Self::X509 => x509::ALL,
            Self::Snp => snp::ALL,
            Self::Tdx => tdx::ALL,
            Self::Ccel => ccel::ALL,
            Self::Azure => azure::ALL,
            Self::Nvidia => nvidia::ALL,
            Self::Google => provider::GOOGLE,
            Self::Nitro => provider::NITRO,
        }
    }

    /// The documents that its sources name: short name, and title with revision.
    #[must_use]
    pub const fn documents(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::X509 => x509::DOCUMENTS,
            Self::Snp => snp::DOCUMENTS,
            Self::Tdx => tdx::DOCUMENTS,
            Self::Ccel => ccel::DOCUMENTS,
            Self::Azure => azure::DOCUMENTS,
            Self::Nvidia => nvidia::DOCUMENTS,
            Self::Google | Self::Nitro => provider::DOCUMENTS,
        }
    }

    /// The family of an identifier.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        let (start, _) = id.split_once('-')?;
        Self::ALL.into_iter().find(|family| family.name() == start)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGES: [(&[Family], &str); 5] = [
        (
            &[Family::X509, Family::Snp],
            include_str!("../../../docs/platforms/snp.md"),
        ),
        (
            &[Family::Tdx, Family::Ccel],
            include_str!("../../../docs/platforms/tdx.md"),
        ),
        (&[Family::Azure], include_str!("../../../docs/platforms/azure.md")),
        (
            &[Family::Nvidia],
            include_str!("../../../docs/platforms/nvidia.md"),
        ),
        (
            &[Family::Google, Family::Nitro],
            include_str!("../../../docs/platforms/provider.md"),
        ),
    ];

    /// Without what makes it Markdown.
    fn plain(text: &str) -> String {
        text.replace(['`', '\\', '*'], "")
    }

    /// The rows of a page's tables whose first cell is an identifier of one of these families.
    fn rows(page: &str, families: &[Family]) -> Vec<[String; 3]> {
        let row = |line: &str| {
            let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
            let cells: Vec<String> = line.split(" | ").map(plain).collect();
            let cells: [String; 3] = cells.try_into().ok()?;
            let family = Family::of(&cells[0])?;
            families.contains(&family).then_some(cells)
        };
        page.lines().filter_map(row).collect()
    }

    #[test]
    fn the_pages_and_the_list_say_the_same_in_the_same_order() {
        for (families, page) in PAGES {
            let listed: Vec<[String; 3]> = families
                .iter()
                .flat_map(|family| family.checks())
                .map(|check| [check.id, check.expected, check.source].map(plain))
                .collect();
            let mut written = rows(page, families);
            let mut sorted = listed.clone();
            for rows in [&mut written, &mut sorted] {
                rows.sort();
            }
            assert_eq!(written, sorted, "{families:?}");
        }
    }

    #[test]
    fn an_identifier_is_listed_once_and_its_source_is_a_document() {
        let mut seen = BTreeSet::new();
        for family in Family::ALL {
            for check in family.checks() {
                assert!(seen.insert(check.id), "{} is there twice", check.id);
                assert_eq!(Family::of(check.id), Some(family), "{}", check.id);
                assert_eq!(Listed::of(check.id), Some(check));
                // A document of the list, or one that is named in full.
                let known = family
                    .documents()
                    .iter()
                    .flat_map(|(short, _)| short.split(", "))
                    .chain(["ours", "limits.rs", "X.690", "RFC", "dstack"])
                    .any(|short| check.source.starts_with(short));
                assert!(known, "{}: {}", check.id, check.source);
            }
            for (short, title) in family.documents() {
                assert!(!short.is_empty() && title.len() > 6);
            }
        }
        assert_eq!(seen.len(), 205);
    }
}
