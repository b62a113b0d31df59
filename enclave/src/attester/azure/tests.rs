//! A paravisor and its vTPM, by the real commands, and what verifiers read out of it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::tpm::fake::{FakeTpm, fake};
use super::*;

const VM: &str = r#"{"console-enabled":false,"secure-boot":true,"tpm-enabled":true,"vmUniqueId":"0123ABCD-4567-89EF-0123-456789ABCDEF"}"#;
const DATA: [u8; 64] = [0x42; 64];

/// The claims of a paravisor with this key, over these bytes; `None` for one older than user data.
fn claims(modulus: &[u8], user_data: Option<&[u8]>) -> String {
    let n = URL_SAFE_NO_PAD.encode(modulus);
    let ak = format!(r#"{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"{n}"}}"#);
    let ek = r#"{"kid":"HCLEkPub","key_ops":["encrypt"],"kty":"RSA","e":"AQAB","n":"gQ"}"#;
    let user_data = user_data.map_or_else(String::new, |bytes| {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#","user-data":"{text}""#)
    });
    format!(r#"{{"keys":[{ak},{ek}],"vm-configuration":{VM}{user_data}}}"#)
}

/// An HCL report whose hardware report names its claims.
fn hcl(hardware: Hardware, claims: &str) -> Vec<u8> {
    let size = u32::try_from(claims.len()).unwrap();
    let mut bytes = b"HCLA".to_vec();
    for word in [2, 1236 + size, 2, 0, 0, 0, 0] {
        bytes.extend(u32::to_le_bytes(word));
    }
    let named = sha256(&[claims.as_bytes()]);
    let mut room = vec![0; 1184];
    let kind: u32 = match hardware {
        Hardware::Snp => {
            room[SNP_REPORT_DATA..SNP_REPORT_DATA + 32].copy_from_slice(named.as_bytes());
            2
        }
        Hardware::Tdx => {
            room[..1024].copy_from_slice(&td_report(named.as_bytes()));
            4
        }
    };
    bytes.extend(room);
    for word in [20 + size, 1, kind, 1, size] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(claims.as_bytes());
    bytes.resize(2600, 0);
    bytes
}

/// A TDREPORT of the right form: type, valid bits, and the hashes of its two parts (Intel 733579).
fn td_report(report_data: &[u8]) -> [u8; 1024] {
    use anchorhold_encoding::sha384;
    let mut report = [0; 1024];
    report[0] = 0x81;
    report[TD_REPORT_DATA..TD_REPORT_DATA + 32].copy_from_slice(report_data);
    report[224..256].fill(7);
    report[256..264].copy_from_slice(&[0xff, 1, 3, 0, 0, 0, 0, 0]);
    let hashes = [sha384(&[&report[256..495]]), sha384(&[&report[512..]])];
    report[32..80].copy_from_slice(hashes[0].as_bytes());
    report[80..128].copy_from_slice(hashes[1].as_bytes());
    report
}

/// A paravisor that makes a new report on the reads that `renews` says, counted over all.
pub(in super::super) fn paravisor(
    hardware: Hardware,
    renews: impl Fn(usize) -> bool + Send + 'static,
) -> FakeTpm {
    let tpm = fake();
    let modulus = tpm.modulus();
    let old = hcl(hardware, &claims(&modulus, Some(&[0; 64])));
    tpm.state
        .lock()
        .unwrap()
        .indices
        .insert(REPORT_INDEX, (0x0006_0006, old));
    let reads = Arc::new(AtomicUsize::new(0));
    tpm.on_read.lock().unwrap().insert(
        REPORT_INDEX,
        Box::new(move |state, _| {
            renews(reads.fetch_add(1, Ordering::SeqCst)).then(|| {
                let input = &state.indices[&INPUT_INDEX].1;
                hcl(hardware, &claims(&modulus, Some(input)))
            })
        }),
    );
    tpm
}

/// Has no clock: waiting is counted.
fn ask(tpm: &FakeTpm, quotes: Option<&dyn QuoteService>) -> (Result<GuestEvidence, AttesterError>, usize) {
    let pauses = Cell::new(0);
    let outcome = evidence(tpm, quotes, &DATA, &|_| pauses.set(pauses.get() + 1));
    (outcome, pauses.get())
}

fn fault(tpm: &FakeTpm) -> Fault {
    match ask(tpm, None).0.unwrap_err() {
        AttesterError::Interface {
            interface: Interface::Vtpm,
            fault,
        } => fault,
        other => panic!("{other:?}"),
    }
}

/// What verifiers check of it beside hardware signatures.
fn believable(evidence: &GuestEvidence) {
    let hcl = HclReport::parse(&evidence.hcl_report).unwrap();
    let claims = RuntimeClaims::parse(hcl.claims_bytes()).unwrap();
    assert_eq!(claims.user_data().unwrap().as_bytes(), &DATA);
    let Quoted {
        message,
        signature,
        registers,
    } = &evidence.quoted;
    anchorhold_attestation::azure::Quote::parse(message, signature, registers).unwrap();
    let qualifying = sha256(&[&DATA]);
    assert!(message.windows(32).any(|window| window == qualifying.as_bytes()));
}

#[test]
fn a_guest_of_snp_shows_report_claims_and_quote() {
    let tpm = paravisor(Hardware::Snp, |read| read == 0);
    let (evidence, pauses) = ask(&tpm, None);
    let evidence = evidence.unwrap();
    believable(&evidence);
    assert_eq!(
        (evidence.hcl_report.len(), evidence.td_quote.is_none(), pauses),
        (2600, true, 0)
    );
    // The index is defined once.
    ask(&tpm, None).0.unwrap();
    let defined = tpm
        .commands
        .lock()
        .unwrap()
        .iter()
        .filter(|code| **code == 0x12a)
        .count();
    assert_eq!(defined, 1);
}

#[test]
fn a_report_over_older_bytes_is_waited_out() {
    // A report is read in six pieces: three old ones, then the timer is over.
    let tpm = paravisor(Hardware::Snp, |read| read == 18);
    let (evidence, pauses) = ask(&tpm, None);
    believable(&evidence.unwrap());
    assert_eq!(pauses, 3);
    let never = paravisor(Hardware::Snp, |_| false);
    let (outcome, pauses) = ask(&never, None);
    assert_eq!(outcome.unwrap_err(), Interface::Vtpm.fails(Fault::Stale));
    assert_eq!(pauses, limits::HCL_LOOKS - 1);
}

#[test]
fn a_report_that_changed_between_two_pieces_is_read_again() {
    // Renewed before the fourth piece: header, hardware report and the claims' start are of the old one.
    let tpm = paravisor(Hardware::Snp, |read| read == 3);
    let (evidence, pauses) = ask(&tpm, None);
    believable(&evidence.unwrap());
    assert_eq!(pauses, 1);
}

#[test]
fn what_cannot_bind_is_no_evidence() {
    let old = fake();
    let report = hcl(Hardware::Snp, &claims(&old.modulus(), None));
    old.state
        .lock()
        .unwrap()
        .indices
        .insert(REPORT_INDEX, (0x0006_0006, report));
    assert_eq!(fault(&old), Fault::Unsupported);
    assert_eq!(fault(&fake()), Fault::Missing);
    assert_eq!(fault(&paravisor(Hardware::Tdx, |_| true)), Fault::OtherKind);
    let taken = paravisor(Hardware::Snp, |_| true);
    taken
        .state
        .lock()
        .unwrap()
        .indices
        .insert(INPUT_INDEX, (0x0006_0006, vec![0; 32]));
    assert_eq!(fault(&taken), Fault::OtherKind);
    // Somebody writes another value just before the report is made.
    let contested = paravisor(Hardware::Snp, |_| true);
    let modulus = contested.modulus();
    contested.on_read.lock().unwrap().insert(
        REPORT_INDEX,
        Box::new(move |_, _| Some(hcl(Hardware::Snp, &claims(&modulus, Some(&[9; 64]))))),
    );
    assert_eq!(fault(&contested), Fault::Stale);
}

/// Intel's quoting enclave, as far as its caller can tell.
struct Quoting {
    asked: Mutex<Vec<[u8; 1024]>>,
    answer: Result<(), Fault>,
    over: Option<[u8; 64]>,
}

impl QuoteService for Quoting {
    fn quote(&self, report: &[u8; 1024]) -> Result<Vec<u8>, Fault> {
        self.asked.lock().unwrap().push(*report);
        self.answer?;
        let mut quote = vec![4; 568];
        let over: &[u8] = self.over.as_ref().map_or(&report[128..192], |over| over);
        quote.extend(over);
        quote.extend([5; 4000]);
        Ok(quote)
    }
}

#[test]
fn a_guest_of_tdx_has_a_quote_of_the_report_inside() {
    let tpm = paravisor(Hardware::Tdx, |_| true);
    let service = Quoting {
        asked: Mutex::default(),
        answer: Ok(()),
        over: None,
    };
    let evidence = ask(&tpm, Some(&service)).0.unwrap();
    believable(&evidence);
    assert_eq!(service.asked.lock().unwrap()[0], evidence.hcl_report[32..1056]);
    assert_eq!(evidence.td_quote.unwrap().len(), 4632);
    for (answer, over, fault) in [
        (Err(Fault::Busy), None, Fault::Busy),
        (Ok(()), Some([1; 64]), Fault::Stale),
    ] {
        let service = Quoting {
            asked: Mutex::default(),
            answer,
            over,
        };
        let error = ask(&tpm, Some(&service)).0.unwrap_err();
        assert_eq!(error, Interface::QuoteService.fails(fault));
    }
    let snp = paravisor(Hardware::Snp, |_| true);
    let error = ask(&snp, Some(&service)).0.unwrap_err();
    assert_eq!(error, Interface::Vtpm.fails(Fault::OtherKind));
}
