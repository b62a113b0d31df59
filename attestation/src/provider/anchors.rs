//! The roots under which providers certify their TPMs.
//!
//! Why apart: the compiled constants are what makes evidence real; other roots are given only for tests.
//!
//! # Invariants
//! A root is a self-signed authority. Its key is what a chain must end with.

use crate::base64_text::decode_standard;
use crate::x509::{Anchor, Fault};

/// `EK/AK CA Root` of Google Cloud, valid 2022-07-08 to 2122-07-08 (google/go-tpm-tools,
/// `server/ca-certs/gcp_ek_ak_ca_root.crt`, as others that pin it have it as text).
const GOOGLE_ROOT: &str = "\
    MIIGATCCA+mgAwIBAgIUAKZdpPnjKPOANcOnPU9yQyvfFdwwDQYJKoZIhvcNAQELBQAwfjELMAkGA1UEBhMCVVMxEzARBgNVBAgT\
    CkNhbGlmb3JuaWExFjAUBgNVBAcTDU1vdW50YWluIFZpZXcxEzARBgNVBAoTCkdvb2dsZSBMTEMxFTATBgNVBAsTDEdvb2dsZSBD\
    bG91ZDEWMBQGA1UEAxMNRUsvQUsgQ0EgUm9vdDAgFw0yMjA3MDgwMDQwMzRaGA8yMTIyMDcwODA1NTcyM1owfjELMAkGA1UEBhMC\
    VVMxEzARBgNVBAgTCkNhbGlmb3JuaWExFjAUBgNVBAcTDU1vdW50YWluIFZpZXcxEzARBgNVBAoTCkdvb2dsZSBMTEMxFTATBgNV\
    BAsTDEdvb2dsZSBDbG91ZDEWMBQGA1UEAxMNRUsvQUsgQ0EgUm9vdDCCAiIwDQYJKoZIhvcNAQEBBQADggIPADCCAgoCggIBAJ0l\
    9VCoyJZLSol8KyhNpbS7pBnuicE6ptrdtxAWIR2TnLxSgxNFiR7drtofxI0ruceoCIpsa9NHIKrz3sM/N/E8mFNHiJAuyVf3pPpm\
    DpLJZQ1qe8yHkpGSs3Kj3s5YYWtEecCVfzNs4MtKvGfA+WKB49A6Noi8R9R1GonLIN6wSXX3kP1ibRn0NGgdqgfgRe5HC3kKAhjZ\
    6scT8Eb1SGlaByGzE5WoGTnNbyifkyx9oUZxXVJsqv2q611W3apbPxcgev8z5JXQUbrrQ7EbO0StK1DsKRsKLuD+YLxjrBRQ4UeI\
    N5WHp6G0vgYiOptHm6YKZxQemO/kVMLRzsm1AYH7eNOFekcBIKRjSqpk5m4ud04qum6f0hBj3iE/Pe+DvIbVhLh9ItAunISGQPA9\
    dYEgfA/qWir+pU7LV3phpLeGhull8G/zYmQhF3heg0buIR70aavzT8iLAQrxVMNRZJEGMwIN/tq8YiT3+3EZIcSqq6GAGjiuVw3N\
    IsXC3+CuSJGQ5GbDp49Lc6VWPHeWeFvwSUGgxKXq5r1+PRsoYgK6S4hhecgXEX5c7Rta6TcFlEFb0XK9fpy1dr89LeFGxUBpdDvK\
    xDRLMm3FQen8rmR/PSReEcJsaqbUP/q7Pc7k0RfF9Mb6AfPZfnqgpYJQ+IFSr9EjRSW1wPcL03zoTP47AgMBAAGjdTBzMA4GA1Ud\
    DwEB/wQEAwIBBjAQBgNVHSUECTAHBgVngQUIATAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBRJ50pbVin1nXm3pjA8A7KP5xTd\
    TDAfBgNVHSMEGDAWgBRJ50pbVin1nXm3pjA8A7KP5xTdTDANBgkqhkiG9w0BAQsFAAOCAgEAlfHRvOB3CJoLTl1YG/AvjGoZkpNM\
    yp5X5je1ICCQ68b296En9hIUlcYY/+nuEPSPUjDA3izwJ8DAfV4REgpQzqoh6XhR3TgyfHXjJ6DC7puzEgtzF1+wHShUpBoe3HKu\
    L4WhB3rvwk2SEsudBu92o9BuBjcDJ/GW5GRtpD/H71HAE8rI9jJ41nS0FvkkjaX0glsntMVUXiwcta8GI0QOE2ijsJBwk41uQGt0\
    YOj2SGlEwNAC5DBTB5kZ7+6X9xGE6/c+M3TAA0ONoX18rNfif94cCx/mPYOs8pUkANRAQ4aTRBvpBrryGT8R1ahTBkMeRQG3tdsL\
    HRT8fJCFUANd5WLWsi83005y/WuMz8/gFKc0PL+F+MubCsJ1ODPTRscH93QlS4zEMg5hDAIks+fDoRJ2QiROqo7GAqbTc7STKfGc\
    r9+pa63na7f3oy1sZPWPdxB8tx5z3lghiPP3ktQx/yK/1Fwf1hgxJHFy/2UcaGuOXRRRTPyEnppZp82Kigs9aPHWtaVm2/LrXX2f\
    vT9iM/k0CovNAj8rztHxsUEoA0xJnSOJNPpe9PRdjsTj7/u3Xu6hQLNNidBHgI3Hcmi704HMMd/3yZ424OOrS32ylpeU1oeQHFrL\
    E6hYX4/ttMETbmESIKd2rTgstPotSvkuB5TljbKYPR+lq7hQav16U4E=";

/// `aws.nitro-enclaves`, the root G1 of the Nitro Attestation PKI, valid 2019-10-28 to 2049-10-28. AWS publishes its
/// fingerprint (*AWS Nitro Enclaves User Guide*, Verifying the root of trust), with which a test compares it.
const AWS_ROOT: &str = "\
    MIICETCCAZagAwIBAgIRAPkxdWgbkK/hHUbMtOTn+FYwCgYIKoZIzj0EAwMwSTELMAkGA1UEBhMCVVMxDzANBgNVBAoMBkFtYXpv\
    bjEMMAoGA1UECwwDQVdTMRswGQYDVQQDDBJhd3Mubml0cm8tZW5jbGF2ZXMwHhcNMTkxMDI4MTMyODA1WhcNNDkxMDI4MTQyODA1\
    WjBJMQswCQYDVQQGEwJVUzEPMA0GA1UECgwGQW1hem9uMQwwCgYDVQQLDANBV1MxGzAZBgNVBAMMEmF3cy5uaXRyby1lbmNsYXZl\
    czB2MBAGByqGSM49AgEGBSuBBAAiA2IABPwCVOumCMHzaHDimtqQvkY4MpJzbolL//Zy2YlES1BR5TSksfbb48C8WBoyt7F2Bw7e\
    EtaaP+ohG2bnUs990d0JX28TcPQXCEPZ3BABIeTPYwEoCWZEh8l5YoQwTcU/9KNCMEAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4E\
    FgQUkCW1DdkFR+eWw5b6cp3PmanfS5YwDgYDVR0PAQH/BAQDAgGGMAoGCCqGSM49BAMDA2kAMGYCMQCjfy+Rocm9Xue4YnwWmNJV\
    A44fA0P5W2OpYow9OYCVRaEevL8uO1XYru5xtMPWrfMCMQCi85sWBbJwKKXdS6BptQFuZbT73o/gBh1qUxl/nNr12UO8Yfwr6wPL\
    b+6NIwLz3/Y=";

/// The two roots.
#[derive(Debug, Clone)]
pub struct Anchors {
    google: Option<Anchor>,
    aws: Option<Anchor>,
}

impl Anchors {
    /// The providers' own.
    #[must_use]
    pub fn compiled() -> Self {
        let anchor = |text| {
            let der = decode_standard(text).expect("a constant in base64");
            Anchor::parse(&der).expect("a constant that is a root certificate")
        };
        Self {
            google: Some(anchor(GOOGLE_ROOT)),
            aws: Some(anchor(AWS_ROOT)),
        }
    }

    /// No provider is believed.
    pub(crate) const fn none() -> Self {
        Self {
            google: None,
            aws: None,
        }
    }

    /// Others, in DER. A provider without one is not believed at all.
    ///
    /// # Errors
    /// The [`Fault`] that makes one of them no root.
    pub fn given(google: Option<&[u8]>, aws: Option<&[u8]>) -> Result<Self, Fault> {
        Ok(Self {
            google: google.map(Anchor::parse).transpose()?,
            aws: aws.map(Anchor::parse).transpose()?,
        })
    }

    pub(crate) const fn google(&self) -> Option<&Anchor> {
        self.google.as_ref()
    }

    pub(crate) const fn aws(&self) -> Option<&Anchor> {
        self.aws.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use anchorhold_encoding::sha256;

    use super::*;

    #[test]
    fn the_compiled_roots_are_the_published_ones() {
        // Anchor::parse checks that each is an authority's and signed by its own key.
        let anchors = Anchors::compiled();
        let read = |anchor: Option<&Anchor>| {
            let root = anchor.unwrap().certificate().clone();
            (root.common_name().unwrap(), sha256(&[root.der()]).to_string())
        };
        let fingerprint = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
        assert_eq!(
            read(anchors.aws()),
            ("aws.nitro-enclaves".to_owned(), fingerprint.to_owned())
        );
        let fingerprint = "594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2";
        assert_eq!(
            read(anchors.google()),
            ("EK/AK CA Root".to_owned(), fingerprint.to_owned())
        );
    }
}
