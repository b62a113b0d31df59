//! The real way into a library: one that a C compiler made of the header's structures.

use std::path::PathBuf;
use std::process::Command;

use super::super::Gpus;
use super::*;
use crate::attester::error::{AttesterError, Interface};
use crate::attester::{DeviceReporter, nvml};

/// NVIDIA's library, as far as it is called: a report is the nonce at offset 4 and the GPU's number behind it.
const SOURCE: &str = r#"
#include <string.h>
typedef int ret; typedef void *dev;
typedef struct { unsigned int environment, ccFeature, devToolsMode; } state;
typedef struct { unsigned int certChainSize, attestationCertChainSize;
  unsigned char certChain[0x1000], attestationCertChain[0x1400]; } cert;
typedef struct { unsigned int isCecAttestationReportPresent, attestationReportSize, cecAttestationReportSize;
  unsigned char nonce[0x20], attestationReport[0x2000], cecAttestationReport[0x1000]; } report;
static int up = 0; static int gpus[2] = {10, 11};
#ifndef INIT
#define INIT 0
#endif
#ifndef FEATURE
#define FEATURE 1
#endif
#ifndef DEVTOOLS
#define DEVTOOLS 0
#endif
#ifndef SESSION
#define SESSION pem[1]
#endif
#ifndef UUID
#define UUID "GPU-00112233-4455-6677-8899-aabbccddeeff"
#endif
static unsigned int accepting = 7;
#ifndef SIZE
#define SIZE 40
#endif
ret nvmlInit_v2(void) { up = INIT == 0; return INIT; }
ret nvmlDeviceGetCount_v2(unsigned int *n) { if (!up) return 1; *n = 2; return 0; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned int i, dev *d) { if (i > 1) return 2; *d = &gpus[i]; return 0; }
ret nvmlSystemGetConfComputeState(state *s) {
  s->environment = 2; s->ccFeature = FEATURE; s->devToolsMode = DEVTOOLS; return up ? 0 : 1; }
#ifndef OLD
ret nvmlDeviceGetConfComputeGpuAttestationReport(dev d, report *r) {
  memset(r->attestationReport, 0xaa, 40);
  memcpy(r->attestationReport + 4, r->nonce, 32);
  r->attestationReport[36] = *(int *)d;
  r->attestationReportSize = SIZE; return 0; }
#endif
ret nvmlDeviceGetUUID(dev d, char *text, unsigned int length) { if (length != 96) return 7; strcpy(text, UUID); return 0; }
ret nvmlSystemGetConfComputeGpusReadyState(unsigned int *ready) { *ready = accepting; return 0; }
ret nvmlSystemSetConfComputeGpusReadyState(unsigned int ready) { accepting = ready; return 0; }
ret nvmlDeviceGetConfComputeGpuCertificate(dev d, cert *c) {
  static const char *pem[2] = {
    "-----BEGIN CERTIFICATE-----\nAQEB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nCQkJ\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nAgIC\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nCQkJ\n-----END CERTIFICATE-----\n" };
  const char *chain = pem[*(int *)d - 10];
  const char *session = SESSION;
  strcpy((char *)c->certChain, session); c->certChainSize = strlen(session);
  strcpy((char *)c->attestationCertChain, chain); c->attestationCertChainSize = strlen(chain); return 0; }
"#;

/// Compiles the library with these definitions.
fn compile(folder: &tempfile::TempDir, name: &str, definitions: &[&str]) -> PathBuf {
    let source = folder.path().join("nvml.c");
    std::fs::write(&source, SOURCE).unwrap();
    let output = folder.path().join(format!("lib{name}.so"));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&output)
        .args(definitions)
        .arg(&source)
        .status()
        .expect("a C compiler is there: the cryptography needs one too");
    assert!(status.success());
    output
}

#[test]
fn all_gpus_of_a_real_library_give_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let library = Nvml::load(&compile(&folder, "good", &[])).unwrap();
    let gpus = Gpus::new(Box::new(library)).unwrap();
    let nonce = anchorhold_encoding::Digest::new([0x77; 32]);
    let evidence = gpus.collect(&nonce).unwrap();
    assert_eq!(evidence.len(), 2);
    for (device, number) in evidence.iter().zip([10, 11]) {
        assert_eq!(device.kind(), nvml::KIND);
        assert_eq!(device.report().len(), 40);
        assert_eq!(
            (&device.report()[4..36], device.report()[36]),
            ([0x77; 32].as_slice(), number)
        );
        assert_eq!(device.certificates(), [vec![number - 9; 3], vec![9; 3]]);
    }
}

#[test]
fn a_library_that_is_not_there_or_too_old_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| Nvml::load(path).err();
    assert_eq!(load(Path::new("libno-such-library.so.1")), Some(Fault::Missing));
    assert_eq!(
        load(&compile(&folder, "old", &["-DOLD"])),
        Some(Fault::Unsupported)
    );
    assert_eq!(
        load(&compile(&folder, "driverless", &["-DINIT=9"])),
        Some(Fault::Missing)
    );
    assert_eq!(
        load(&compile(&folder, "forbidden", &["-DINIT=4"])),
        Some(Fault::Forbidden)
    );
}

#[test]
fn a_machine_out_of_confidential_mode_gives_none() {
    let folder = tempfile::tempdir().unwrap();
    for (name, definition) in [("off", "-DFEATURE=0"), ("tools", "-DDEVTOOLS=1")] {
        let library = Nvml::load(&compile(&folder, name, &[definition])).unwrap();
        let error = Gpus::new(Box::new(library)).err().unwrap();
        assert_eq!(error, Interface::Nvml.fails(Fault::Unsupported));
    }
}

#[test]
fn a_length_beyond_the_structure_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let library = Nvml::load(&compile(&folder, "long", &["-DSIZE=0x2001"])).unwrap();
    assert_eq!(library.report(0, &[0; 32]), Err(Fault::TooLarge));
    assert_eq!(library.report(2, &[0; 32]), Err(Fault::Refused));
    assert_eq!(AttesterError::NoDevices.code(), "no_devices");
}

#[test]
fn gpus_are_named_and_set_ready_by_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let library = Nvml::load(&compile(&folder, "gate", &[])).unwrap();
    let mode = Mode {
        confidential: true,
        developer_tools: false,
    };
    assert_eq!(library.mode(), Ok(mode));
    let uuid = std::array::from_fn(|byte| byte as u8 * 0x11);
    assert_eq!(library.uuid(1), Ok(uuid));
    // The chain of the session, which is not the one of the evidence: here that of the other GPU.
    assert_eq!(library.session_certificate(0), Ok(vec![2; 3]));
    assert_eq!(library.is_ready(), Ok(false), "only 1 is ready");
    library.set_ready(true).unwrap();
    assert_eq!(library.is_ready(), Ok(true));
    library.set_ready(false).unwrap();
    assert_eq!(library.is_ready(), Ok(false));
    let odd = |name: &str, definition: &str| Nvml::load(&compile(&folder, name, &[definition])).unwrap();
    let tools = odd("opened", "-DDEVTOOLS=1").mode().unwrap();
    assert!(tools.confidential && tools.developer_tools);
    assert_eq!(odd("mig", "-DUUID=\"MIG-1\"").uuid(0), Err(Fault::Malformed));
    let empty = odd("sessionless", "-DSESSION=\"\"");
    assert_eq!(empty.session_certificate(0), Err(Fault::Malformed));
}

#[test]
fn a_chain_is_pem_or_der_and_a_uuid_has_one_form() {
    let der = [[0x30, 0x82, 1, 0].as_slice(), &[5; 256], &[0x30, 0x82]].concat();
    assert_eq!(first_certificate(&der), Some(der[..260].to_vec()));
    assert_eq!(first_certificate(&der[..259]), None);
    assert_eq!(first_certificate(&[0x30, 0x81, 3, 1, 2, 3]), None);
    assert_eq!(first_certificate(b"-----BEGIN CERTIFICATE-----\nAQ"), None);
    assert!(parse_uuid(b"GPU-00112233-4455-6677-8899-aabbccddeeff").is_some());
    for bad in [
        "00112233-4455-6677-8899-aabbccddeeff",
        "GPU-001122334-455-6677-8899-aabbccddeeff",
        "GPU-0011223g-4455-6677-8899-aabbccddeeff",
        "GPU-00112233-4455-6677-8899-aabbccddeef",
        "GPU-00112233-4455-6677-8899-aabbccddeeff0",
    ] {
        assert_eq!(parse_uuid(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn codes_have_meanings() {
    let faults = [
        (NOT_SUPPORTED, Fault::Unsupported),
        (FUNCTION_NOT_FOUND, Fault::Unsupported),
        (DRIVER_NOT_LOADED, Fault::Missing),
        (TIMEOUT, Fault::Busy),
        (IN_USE, Fault::Busy),
        (999, Fault::Refused),
        (-1, Fault::Refused),
    ];
    for (code, fault) in faults {
        assert_eq!(done(code), Err(fault));
    }
    assert_eq!(done(SUCCESS), Ok(()));
}
