//! Real reports and certificates, with the verdicts of their collection (`evidence/README.md` there).

use super::*;
use crate::testdata::evidence;
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// 2025-06-01: every VCEK of the collection but one, and the VLEK, are valid.
const JUNE_2025: u64 = 1_748_736_000;
/// 2025-09-01.
const SEPTEMBER_2025: u64 = 1_756_684_800;
/// 2026-09-01.
const SEPTEMBER_2026: u64 = 1_788_220_800;

/// 2026-11-01.
const NOVEMBER_2026: u64 = 1_793_491_200;

/// Certificates of a PEM text, or the one in DER.
pub(super) fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![bytes.to_vec()];
    };
    text.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|part| {
            let body: String = part
                .split("-----END")
                .next()
                .unwrap()
                .split_whitespace()
                .collect();
            STANDARD.decode(body).unwrap()
        })
        .collect()
}

/// A folder of the collection: report, VEK, chain (authority and ARK).
pub(in crate::snp) struct Case {
    pub(in crate::snp) folder: &'static str,
    pub(in crate::snp) vek: &'static str,
    pub(in crate::snp) chain: &'static str,
    pub(in crate::snp) at: u64,
    /// The identifier that refuses, or none.
    pub(in crate::snp) refused_by: Option<&'static str>,
}

const fn case(
    folder: &'static str,
    vek: &'static str,
    chain: &'static str,
    at: u64,
    refused_by: Option<&'static str>,
) -> Case {
    Case {
        folder,
        vek,
        chain,
        at,
        refused_by,
    }
}

pub(in crate::snp) const CASES: &[Case] = &[
    // A debug guest: genuine, and for a policy to refuse.
    case(
        "milan-v2-gosevguest",
        "vcek.der",
        "ask_ark_milan",
        JUNE_2025,
        None,
    ),
    case("milan-v2-virtee", "vcek.der", "ask_ark_milan", JUNE_2025, None),
    case("milan-v2-trustee", "vcek.der", "ask_ark_milan", JUNE_2025, None),
    // Altered: another hardware id and another level, so the ASK's signature does not hold.
    case(
        "milan-v2-trustee",
        "vcek-invalid-legacy.der",
        "ask_ark_milan",
        JUNE_2025,
        Some("x509-signature"),
    ),
    case(
        "milan-v3-vlek-aws",
        "vlek.der",
        "ask_ark_milan_vlek",
        JUNE_2025,
        None,
    ),
    case(
        "milan-v3-vlek-aws",
        "vlek.der",
        "ask_ark_milan",
        JUNE_2025,
        Some("snp-vek-authority"),
    ),
    // The VLEK was for one year.
    case(
        "milan-v3-vlek-aws",
        "vlek.der",
        "ask_ark_milan_vlek",
        SEPTEMBER_2026,
        Some("x509-expired"),
    ),
    case("genoa-v3-azure", "vcek.pem", "ask_ark_genoa", JUNE_2025, None),
    case("milan-v3-azure", "vcek.der", "ask_ark_milan", JUNE_2025, None),
    // The certificate of another chip.
    case(
        "milan-v2-kinvolk-other-chip",
        "certs.pem",
        "ask_ark_milan",
        JUNE_2025,
        Some("snp-binding-chip-id"),
    ),
    case(
        "milan-v3-dstack",
        "vcek.pem",
        "ask_ark_milan",
        SEPTEMBER_2026,
        None,
    ),
    // Before its certificate was made.
    case(
        "milan-v3-dstack",
        "vcek.pem",
        "ask_ark_milan",
        JUNE_2025,
        Some("x509-not-yet-valid"),
    ),
    case("milan-v3-oak", "vcek.der", "ask_ark_milan", JUNE_2025, None),
    case("genoa-v5-oak", "vcek.der", "ask_ark_genoa", SEPTEMBER_2025, None),
    case(
        "turin-v5-oak",
        "vcek.der",
        "ask_ark_turin_vcek",
        SEPTEMBER_2025,
        None,
    ),
    // Certificates of another product's hierarchy, and of another chip.
    case(
        "turin-v5-oak",
        "vcek.der",
        "ask_ark_genoa",
        SEPTEMBER_2025,
        Some("snp-vek-authority"),
    ),
];

impl Case {
    /// Report, VEK, authority, ARK.
    pub(in crate::snp) fn read(&self, test: &str) -> Option<[Vec<u8>; 4]> {
        let report = evidence(test, &format!("snp/{}/report.bin", self.folder))?;
        let vek = evidence(test, &format!("snp/{}/{}", self.folder, self.vek))?;
        let chain = certificates(&evidence(test, &format!("anchors/amd/{}.pem", self.chain))?);
        let [authority, root] = <[Vec<u8>; 2]>::try_from(chain).unwrap();
        Some([report, certificates(&vek).swap_remove(0), authority, root])
    }

    fn verify(&self, test: &str) -> Option<Result<VerifiedReport, SnpError>> {
        let [report, vek, authority, root] = self.read(test)?;
        let endorsements = Endorsements {
            vek: &vek,
            authority: &authority,
            // The ARK of another product is refused before its ASK; without it the ASK itself is.
            root: self.refused_by.is_none().then_some(root.as_slice()),
            crl: None,
        };
        let at = Timestamp::from_unix(self.at);
        Some(
            VerifiedVek::verify(&endorsements, Anchors::amd(), at)
                .and_then(|vek| VerifiedReport::verify(&report, &vek, at)),
        )
    }
}

/// Proven reports of the collection by folder, without a revocation list; `None` where the collection is not.
pub(crate) fn proven(test: &str) -> Option<Vec<(&'static str, VerifiedReport)>> {
    let genuine = CASES.iter().filter(|case| case.refused_by.is_none());
    genuine
        .map(|case| Some((case.folder, case.verify(test)?.unwrap())))
        .collect()
}

#[test]
fn every_report_gets_the_verdict_of_its_collection() {
    const NAME: &str = "snp::every_report_gets_the_verdict_of_its_collection";
    for case in CASES {
        let Some(outcome) = case.verify(NAME) else { return };
        let found = outcome.as_ref().err().map(SnpError::id);
        assert_eq!(found, case.refused_by, "{} {}", case.folder, case.vek);
        if let Ok(proven) = outcome {
            assert_eq!(proven.class(), Class::Real);
            assert!(proven.not_after() >= Timestamp::from_unix(case.at));
        }
    }
}

#[test]
fn what_real_reports_say_is_what_their_collection_says() {
    const NAME: &str = "snp::what_real_reports_say_is_what_their_collection_says";
    let report = |folder: &str| {
        Some(Report::parse(&evidence(NAME, &format!("snp/{folder}/report.bin"))?).expect("it is a report"))
    };
    let Some(turin) = report("turin-v5-oak") else {
        return;
    };
    assert_eq!(
        (turin.product(), turin.platform_info.unknown()),
        (Some(Product::Turin), 0x40)
    );
    assert_eq!(
        turin.reported_tcb.to_string(),
        "FMC 0 BOOT_LOADER 1 TEE 0 SNP 2 MICROCODE 71"
    );
    let Some(debug) = report("milan-v2-gosevguest") else {
        return;
    };
    assert!(debug.policy.has(PolicyBit::Debug));
    let Some(dstack) = report("milan-v3-dstack") else {
        return;
    };
    assert_eq!(
        (
            dstack.reported_tcb.snp,
            dstack.committed_tcb.snp,
            dstack.current_tcb.snp
        ),
        (23, 24, 24)
    );
    assert_eq!(&dstack.report_data.as_bytes()[..24], b"attest-test-fixture-2026");
    let Some(aws) = report("milan-v3-vlek-aws") else {
        return;
    };
    assert_eq!(
        (aws.signing_key, aws.vmpl, aws.chip_id_masked()),
        (SigningKey::Vlek, 1, true)
    );
    let Some(genoa) = report("genoa-v5-oak") else {
        return;
    };
    assert_eq!((genoa.version, genoa.launch_mitigations), (5, Some(1)));
    // No VEK came with this one: it can be read, and there is nothing to prove it with.
    let Some(gce) = report("milan-v4-gce-noveks") else {
        return;
    };
    assert_eq!((gce.version, gce.product()), (4, Some(Product::Milan)));
}

#[test]
fn the_compiled_roots_are_amds() {
    const NAME: &str = "snp::the_compiled_roots_are_amds";
    for (product, file) in [
        (Product::Milan, "ask_ark_milan"),
        (Product::Milan, "ask_ark_milan_vlek"),
        (Product::Genoa, "ask_ark_genoa"),
        (Product::Genoa, "ask_ark_genoa_vlek"),
        (Product::Turin, "ask_ark_turin_vcek"),
        (Product::Turin, "ask_ark_turin_vlek"),
    ] {
        let Some(chain) = evidence(NAME, &format!("anchors/amd/{file}.pem")) else {
            return;
        };
        let compiled = Anchors::amd().root(product).unwrap().certificate();
        assert_eq!(compiled.der(), certificates(&chain)[1], "{file}");
    }
}

#[test]
fn real_lists_hold_in_their_time_and_do_not_name_the_authorities_in_use() {
    const NAME: &str = "snp::real_lists_hold_in_their_time";
    for (list, folder, chain, at, stale) in [
        (
            "crl_milan_2025-05",
            "milan-v3-oak",
            "ask_ark_milan",
            JUNE_2025,
            SEPTEMBER_2026,
        ),
        (
            "crl_genoa_2024-10",
            "genoa-v5-oak",
            "ask_ark_genoa",
            SEPTEMBER_2025,
            SEPTEMBER_2026,
        ),
        (
            "crl_turin_2026-08",
            "turin-v5-oak",
            "ask_ark_turin_vcek",
            SEPTEMBER_2026,
            NOVEMBER_2026,
        ),
    ] {
        let Some(crl) = evidence(NAME, &format!("anchors/amd/{list}.der")) else {
            return;
        };
        let case = case(folder, "vcek.der", chain, at, None);
        let Some([report, vek, authority, _]) = case.read(NAME) else {
            return;
        };
        let endorsements = Endorsements {
            vek: &vek,
            authority: &authority,
            root: None,
            crl: Some(&crl),
        };
        let at = Timestamp::from_unix(at);
        let proven = VerifiedVek::verify(&endorsements, Anchors::amd(), at).unwrap();
        assert!(matches!(proven.revocation(), Revocation::NotRevoked { .. }));
        VerifiedReport::verify(&report, &proven, at).unwrap();
        let error =
            VerifiedVek::verify(&endorsements, Anchors::amd(), Timestamp::from_unix(stale)).unwrap_err();
        assert_eq!(
            (matches!(error, SnpError::Crl(_)), error.id()),
            (true, "x509-expired"),
            "{list}"
        );
    }
    let Some(milan) = evidence(NAME, "anchors/amd/crl_milan_2025-05.der") else {
        return;
    };
    let case = case("genoa-v5-oak", "vcek.der", "ask_ark_genoa", SEPTEMBER_2025, None);
    let Some([_, vek, authority, _]) = case.read(NAME) else {
        return;
    };
    let endorsements = Endorsements {
        vek: &vek,
        authority: &authority,
        root: None,
        crl: Some(&milan),
    };
    let at = Timestamp::from_unix(SEPTEMBER_2025);
    let error = VerifiedVek::verify(&endorsements, Anchors::amd(), at).unwrap_err();
    assert_eq!(error.id(), "x509-issuer");
}
