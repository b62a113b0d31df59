//! The roots that NVIDIA's devices and RIMs are believed under.
//!
//! Why apart: the compiled constants are what makes evidence real; other roots are given only for tests.
//!
//! # Invariants
//! A root is a self-signed authority. A chain must end with it byte for byte.

use crate::base64_text::decode_standard;
use crate::x509::{Anchor, Fault};

/// `NVIDIA Device Identity CA`, for GPUs and switches alike, valid 2021-11-05 to 9999-12-31 (NVIDIA/nvtrust 028173093d43,
/// `guest_tools/gpu_verifiers/local_gpu_verifier/src/verifier/certs/verifier_device_root.pem`).
const DEVICE_ROOT: &str = "\
    MIICCzCCAZCgAwIBAgIQLTZwscoQBBHB/sDoKgZbVDAKBggqhkjOPQQDAzA1MSIwIAYDVQQDDBlOVklESUEgRGV2aWNlIElkZW50\
    aXR5IENBMQ8wDQYDVQQKDAZOVklESUEwIBcNMjExMTA1MDAwMDAwWhgPOTk5OTEyMzEyMzU5NTlaMDUxIjAgBgNVBAMMGU5WSURJ\
    QSBEZXZpY2UgSWRlbnRpdHkgQ0ExDzANBgNVBAoMBk5WSURJQTB2MBAGByqGSM49AgEGBSuBBAAiA2IABA5MFKM7+KViZljbQSlg\
    fky/RRnEQScW9NDZF8SXgAW96r6u/Ve8ZggtcYpPi2BS4VFu6KfEIrhN6FcHG7WP05W+oM+hxj7nyA1r1jkB2Ry70YfThX3Ba1zO\
    ryOP+MJ9vaNjMGEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYEFFeF/4PyY8xlfWi3Olv0jUrL+0lf\
    MB8GA1UdIwQYMBaAFFeF/4PyY8xlfWi3Olv0jUrL+0lfMAoGCCqGSM49BAMDA2kAMGYCMQCPeFM3TASsKQVaT+8S0sO9u97PVGCp\
    E9d/I42IT7k3UUOLSR/qvJynVOD1vQKVXf0CMQC+EY55WYoDBvs2wPAH1Gw4LbcwUN8QCff8bFmV4ZxjCRr4WXTLFHBKjbfneGSB\
    WwA=";

/// `NVIDIA CoRIM signing Root CA`, valid 2023-03-16 to 2053-03-08 (the same folder, `verifier_RIM_root.pem`).
const RIM_ROOT: &str = "\
    MIICKTCCAbCgAwIBAgIQRdrjoA5QN73fh1N17LXicDAKBggqhkjOPQQDAzBFMQswCQYDVQQGEwJVUzEPMA0GA1UECgwGTlZJRElB\
    MSUwIwYDVQQDDBxOVklESUEgQ29SSU0gc2lnbmluZyBSb290IENBMCAXDTIzMDMxNjE1MzczNFoYDzIwNTMwMzA4MTUzNzM0WjBF\
    MQswCQYDVQQGEwJVUzEPMA0GA1UECgwGTlZJRElBMSUwIwYDVQQDDBxOVklESUEgQ29SSU0gc2lnbmluZyBSb290IENBMHYwEAYH\
    KoZIzj0CAQYFK4EEACIDYgAEuECyi9vNM+Iw2lfUzyBldHAwaC1HF7TCgp12QcEyUTm3Tagxwr48d55+K2VIlWYIDk7NlAIQdcV/\
    Ff7euGLI+Qauj93HsSI4WX298PpW54RTgz9tC+Q684caR/BXWEeZo2MwYTAdBgNVHQ4EFgQUpaXrOPK4ZDAk08DBskn594zeZjAw\
    HwYDVR0jBBgwFoAUpaXrOPK4ZDAk08DBskn594zeZjAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0E\
    AwMDZwAwZAIwHGDyscDP6ihHqRvZlI3eqZ4YkvjE1duaN84tAHRVgxVMvNrp5Tnom3idHYGW/dskAjATvjIx6VzHm/4e2GiZAyZE\
    IUBDOKPzp5ei/A0iUZpdvngenDwV8Qa/wGdiTmJ7Bp4=";

/// The two roots. Kept by who verifies many devices: making them checks their signatures.
#[derive(Debug, Clone)]
pub struct Anchors {
    device: Anchor,
    rim: Anchor,
    compiled: bool,
}

impl Anchors {
    /// NVIDIA's.
    #[must_use]
    pub fn nvidia() -> Self {
        let anchor = |text| {
            let der = decode_standard(text).expect("a constant in base64");
            Anchor::parse(&der).expect("a constant that is a root certificate")
        };
        Self {
            device: anchor(DEVICE_ROOT),
            rim: anchor(RIM_ROOT),
            compiled: true,
        }
    }

    /// Others, in DER: evidence under them is of class `insecure`.
    ///
    /// # Errors
    /// The [`Fault`] that makes one of them no root.
    pub fn other(device_root: &[u8], rim_root: &[u8]) -> Result<Self, Fault> {
        Ok(Self {
            device: Anchor::parse(device_root)?,
            rim: Anchor::parse(rim_root)?,
            compiled: false,
        })
    }

    /// True for NVIDIA's own.
    #[must_use]
    pub const fn are_compiled(&self) -> bool {
        self.compiled
    }

    /// The root of devices' identities.
    #[must_use]
    pub const fn device(&self) -> &Anchor {
        &self.device
    }

    /// The root of RIM signers.
    #[must_use]
    pub const fn rim(&self) -> &Anchor {
        &self.rim
    }
}
