//! A verified quote as a list of named values.
//!
//! Why apart: names that policies pin must not change when a type does.
//!
//! # Invariants
//! Every field of header, body, quoting enclave, PCK certificate and collateral used is in the list; a bit field as a
//! whole and by bit. What a body's form does not have is absent.

use crate::field::{Field, Value};
use crate::tdx::{
    BodyKind, EnclaveReport, Platform, TcbLevel, Td15, Td15Ex, TdAttribute, TdBody, VerifiedQuote, Xfam,
};

impl VerifiedQuote {
    /// Everything it proves, by name: `tdx.mr_td`, `tdx.attributes.perfmon`, `tdx.tcb.status`.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            Field::new("tdx.version", self.version()),
            Field::new("tdx.user_data", *self.user_data()),
            Field::new("tdx.body", kind(self.body_kind())),
        ];
        body(&mut fields, self.body());
        newer(&mut fields, self.body().td15.as_ref());
        newest(&mut fields, self.body().td15_ex.as_ref());
        enclave(&mut fields, self.quoting_enclave());
        platform(&mut fields, self.platform());
        fields.push(Field::new("tdx.tcb.status", self.status().name()));
        fields.push(Field::new(
            "tdx.tcb.advisories",
            self.advisories().join(" ").as_str(),
        ));
        level(&mut fields, "tdx.tcb.platform", Some(self.platform_level()));
        level(&mut fields, "tdx.tcb.current", self.current_level());
        level(&mut fields, "tdx.tcb.enclave", Some(self.enclave_level()));
        let used = self.collateral();
        fields.push(Field::new("tdx.collateral.tcb_evaluation", used.tcb_evaluation));
        fields.push(Field::new("tdx.collateral.qe_evaluation", used.qe_evaluation));
        fields.push(Field::new("tdx.collateral.root_crl", used.root_crl));
        fields.push(Field::new("tdx.collateral.pck_crl", used.pck_crl));
        let earliest = used.earliest_issue.unix();
        fields.push(Field::new("tdx.collateral.earliest_issue", earliest));
        fields.push(Field::new(
            "tdx.collateral.latest_issue",
            used.latest_issue.unix(),
        ));
        fields.push(Field::new("tdx.collateral.expires", used.expires.unix()));
        fields
    }
}

const fn kind(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::Td10 => "1.0",
        BodyKind::Td15 => "1.5",
        BodyKind::Td15Ex => "1.5ex",
    }
}

fn body(fields: &mut Vec<Field>, body: &TdBody) {
    fields.push(Field::new("tdx.tee_tcb_svn", body.tee_tcb_svn));
    fields.push(Field::new("tdx.mr_seam", body.mr_seam));
    fields.push(Field::new("tdx.mr_signer_seam", body.mr_signer_seam));
    fields.push(Field::new("tdx.seam_attributes", body.seam_attributes));
    fields.push(Field::new("tdx.attributes", body.attributes.bits()));
    for attribute in TdAttribute::ALL {
        let name = format!("tdx.attributes.{}", attribute.name());
        fields.push(Field::new(name, body.attributes.has(attribute)));
    }
    fields.push(Field::new("tdx.attributes.unknown", body.attributes.unknown()));
    fields.push(Field::new("tdx.xfam", body.xfam.bits()));
    for state in Xfam::NAMED {
        let name = format!("tdx.xfam.{}", state.name);
        fields.push(Field::new(name, body.xfam.has(state.name)));
    }
    fields.push(Field::new("tdx.xfam.unknown", body.xfam.unknown()));
    fields.push(Field::new("tdx.mr_td", body.mr_td));
    fields.push(Field::new("tdx.mr_config_id", body.mr_config_id));
    fields.push(Field::new("tdx.mr_owner", body.mr_owner));
    fields.push(Field::new("tdx.mr_owner_config", body.mr_owner_config));
    for (name, value) in ["tdx.rtmr0", "tdx.rtmr1", "tdx.rtmr2", "tdx.rtmr3"]
        .into_iter()
        .zip(body.rtmr)
    {
        fields.push(Field::new(name, value));
    }
    fields.push(Field::new("tdx.report_data", body.report_data));
}

fn newer(fields: &mut Vec<Field>, newer: Option<&Td15>) {
    fields.push(Field::new("tdx.tee_tcb_svn2", newer.map(|td| td.tee_tcb_svn2)));
    fields.push(Field::new("tdx.mr_service_td", newer.map(|td| td.mr_service_td)));
}

fn newest(fields: &mut Vec<Field>, newest: Option<&Td15Ex>) {
    let mut field = |name: &'static str, value: Value| fields.push(Field::new(name, value));
    field("tdx.vm", newest.map(|td| td.vm).into());
    field("tdx.td_id", newest.map(|td| td.td_id).into());
    field("tdx.device_info", newest.map(|td| td.device_info).into());
    field(
        "tdx.initial.service_hash",
        newest.map(|td| td.initial_service_hash).into(),
    );
    field(
        "tdx.initial.service_attributes",
        newest.map(|td| td.initial_service_attributes).into(),
    );
    field("tdx.initial.cpu_svn", newest.map(|td| td.initial_cpu_svn).into());
    field(
        "tdx.initial.tee_tcb_svn",
        newest.map(|td| td.initial_tee_tcb_svn).into(),
    );
    field("tdx.initial.fmspc", newest.map(|td| td.initial_fmspc).into());
    field(
        "tdx.current.service_hash",
        newest.map(|td| td.current_service_hash).into(),
    );
    field(
        "tdx.current.service_attributes",
        newest.map(|td| td.current_service_attributes).into(),
    );
}

fn enclave(fields: &mut Vec<Field>, enclave: &EnclaveReport) {
    fields.push(Field::new("tdx.qe.cpu_svn", enclave.cpu_svn));
    fields.push(Field::new("tdx.qe.misc_select", enclave.misc_select));
    fields.push(Field::new("tdx.qe.attributes", enclave.attributes));
    fields.push(Field::new("tdx.qe.measurement", enclave.measurement));
    fields.push(Field::new("tdx.qe.signer", enclave.signer));
    fields.push(Field::new("tdx.qe.product", enclave.product));
    fields.push(Field::new("tdx.qe.security_version", enclave.security_version));
    fields.push(Field::new("tdx.qe.report_data", enclave.report_data));
}

fn platform(fields: &mut Vec<Field>, platform: &Platform) {
    fields.push(Field::new("tdx.platform.fmspc", platform.fmspc));
    fields.push(Field::new("tdx.platform.ppid", platform.ppid));
    fields.push(Field::new("tdx.platform.instance", platform.platform_instance));
    fields.push(Field::new("tdx.platform.cpu_svn", platform.cpu_svn));
    fields.push(Field::new("tdx.platform.pce_svn", platform.pce_svn));
    fields.push(Field::new("tdx.platform.pce_id", platform.pce_id));
    fields.push(Field::new("tdx.platform.sgx_type", platform.sgx_type));
    fields.push(Field::new("tdx.platform.dynamic", platform.dynamic));
    fields.push(Field::new("tdx.platform.cached_keys", platform.cached_keys));
    fields.push(Field::new("tdx.platform.smt", platform.smt));
    fields.push(Field::new("tdx.platform.certificate", platform.certificate));
}

fn level(fields: &mut Vec<Field>, name: &str, level: Option<&TcbLevel>) {
    let status = level.map(|level| level.status.name());
    fields.push(Field::new(format!("{name}.status"), status));
    let date = level.map(|level| level.date.unix());
    fields.push(Field::new(format!("{name}.date"), date));
    let advisories = level.map(|level| level.advisories.join(" "));
    fields.push(Field::new(format!("{name}.advisories"), advisories.as_deref()));
}

#[cfg(test)]
mod tests;
