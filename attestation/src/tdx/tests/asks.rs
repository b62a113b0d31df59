//! What a quote asks for, and what the collateral that answers says of itself.

use super::*;
use crate::endorsements::{Endorsement, EndorsementKind, Whose};

fn said(collateral: &serde_json::Value) -> crate::endorsements::Said {
    let body = collateral.to_string().into_bytes();
    Endorsement::new(EndorsementKind::IntelCollateral, body)
        .unwrap()
        .said()
        .unwrap()
}

#[test]
fn a_quote_names_its_family_and_the_authority_of_its_certificate() {
    let made = authority::Plan::default().make();
    let asked = CollateralAsked::by_quote(&made.quote).unwrap();
    assert_eq!(asked.fmspc, authority::FMSPC);
    assert_eq!(asked.authority.name(), "platform");
    assert!(CollateralAsked::by_quote(&made.quote[..600]).is_err());
}

#[test]
fn collateral_is_valid_while_each_of_its_parts_is() {
    let made = authority::Plan::default().make();
    let whole = said(&made.collateral);
    assert_eq!(
        whole.whose,
        Whose::IntelFamily {
            fmspc: authority::FMSPC
        }
    );
    assert!(whole.valid_at(authority::NOW) && whole.number.is_some());
    let plan = authority::Plan {
        identity: |identity| identity["nextUpdate"] = "2030-01-16T00:00:00Z".into(),
        ..authority::Plan::default()
    };
    assert_eq!(said(&plan.make().collateral).until, time("2030-01-16T00:00:00Z"));
    let plan = authority::Plan {
        tcb: |tcb| tcb["issueDate"] = "2030-01-14T00:00:00Z".into(),
        ..authority::Plan::default()
    };
    assert_eq!(said(&plan.make().collateral).from, time("2030-01-14T00:00:00Z"));
}

#[test]
fn real_quotes_ask_for_the_collateral_they_came_with() {
    const NAME: &str = "tdx::real_quotes_ask_for_the_collateral_they_came_with";
    for folder in ["v4-emr-phala", "v5-emr-gotdxguest", "v4-gcp-cos113-ccel"] {
        let Some((quote, collateral)) = real(NAME, folder) else {
            return;
        };
        let asked = CollateralAsked::by_quote(&quote).unwrap();
        let found = Endorsement::new(EndorsementKind::IntelCollateral, collateral)
            .unwrap()
            .said()
            .unwrap();
        assert_eq!(found.whose, Whose::IntelFamily { fmspc: asked.fmspc }, "{folder}");
        assert!(found.from < found.until);
    }
}
