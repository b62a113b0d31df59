//! The demonstration's command line.

use std::path::PathBuf;

use super::tamper::Tamper;

/// What the person asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Ask this and leave.
    pub(crate) once: Option<String>,
    /// One JSON document instead of text.
    pub(crate) json: bool,
    /// A model folder instead of the built-in one.
    pub(crate) model: Option<PathBuf>,
    /// The attack to show.
    pub(crate) tamper: Option<Tamper>,
    /// SEV-SNP under a fake authority, in place of the simulated platform.
    pub(crate) snp_fake: bool,
}

impl Options {
    /// `Ok(None)` means that help was asked for.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                // `cargo demo -- --once x` hands on its own separator: the alias already has one.
                "--" => {}
                "--help" | "-h" => return Ok(None),
                "--json" => options.json = true,
                "--once" => options.once = Some(value()?),
                "--model" => options.model = Some(PathBuf::from(value()?)),
                "--platform" => match value()?.as_str() {
                    "insecure-simulated" => options.snp_fake = false,
                    "snp-fake" => options.snp_fake = true,
                    _ => return Err("--platform takes insecure-simulated or snp-fake".to_owned()),
                },
                "--tamper" => {
                    let name = value()?;
                    options.tamper = Some(
                        Tamper::named(&name)
                            .ok_or("--tamper takes model, evidence, nonce, measurement or channel")?,
                    );
                }
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        if options.json && options.once.is_none() && options.tamper.is_none() {
            return Err("--json is for scripts: give --once or --tamper with it".to_owned());
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn options_are_read() {
        let options = parse(&["--once", "hi", "--json", "--tamper", "nonce"])
            .unwrap()
            .unwrap();
        assert_eq!(options.once.as_deref(), Some("hi"));
        assert!(options.json);
        assert_eq!(options.tamper, Some(Tamper::Nonce));
        assert!(!options.snp_fake);
        let options = parse(&["--platform", "snp-fake", "--once", "hi"])
            .unwrap()
            .unwrap();
        assert!(options.snp_fake);
        assert!(parse(&["-h"]).unwrap().is_none());
        assert!(parse(&["--", "--once", "hi"]).unwrap().unwrap().once.is_some());
    }

    #[test]
    fn mistakes_are_named() {
        for bad in [
            &["--json"][..],
            &["--once"],
            &["--tamper", "all"],
            &["--platform", "snp"],
            &["hello"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
