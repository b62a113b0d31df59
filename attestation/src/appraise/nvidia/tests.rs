//! Each rule alone: a device that satisfies a strict policy, one change, exactly that rule. And real devices.

use super::*;
use crate::denial::{Denial, Verdict};
use crate::nvidia::fixture::{
    AT, Chain, FIRMWARE, Maker, NONCE, RimDraft, device_chain, gpu_fields, measurement, switch_fields,
    tcb_info,
};
use crate::nvidia::tests::{IN_2024, IN_2026, real, real_rim};
use crate::policy::nvidia::NvidiaSection;

type OpaqueFields = Vec<(u16, Vec<u8>)>;

/// For the fake GPU: the least that a policy with a device can say.
const STRICT: &str = "gpus = 1\narchitectures = [\"hopper\"]\nminimum_driver = \"570.86.10\"\n\
                      minimum_firmware = [\"96.00.5E.00.01\"]\n";

const DRIVER: [u8; 4] = [7, 34, 35, 36];
const VBIOS: [u8; 3] = [0, 8, 63];

fn policy(text: &str) -> NvidiaPolicy {
    let section: NvidiaSection = toml::from_str(text).unwrap();
    NvidiaPolicy::new(section).unwrap()
}

/// A GPU's fields as a strict policy wants them.
fn fields() -> OpaqueFields {
    let mut fields = gpu_fields();
    fields.extend([(20, FIRMWARE.to_vec()), (21, vec![0x55]), (36, vec![0, 0])]);
    fields
}

fn without(number: u16) -> OpaqueFields {
    let mut fields = fields();
    fields.retain(|(known, _)| *known != number);
    fields
}

fn with(number: u16, value: &[u8]) -> OpaqueFields {
    let mut fields = without(number);
    fields.push((number, value.to_vec()));
    fields
}

fn rims(maker: &Maker) -> Vec<VerifiedRim> {
    vec![
        maker.rim(&RimDraft::gpu("570.86.10", &DRIVER)),
        maker.rim(&RimDraft::gpu("96.00.5E.00.01", &VBIOS)),
    ]
}

fn outcome(rules: Rules) -> Result<Vec<RuleId>, Denial> {
    rules.finish().map(|checks| {
        let dangerously = checks
            .iter()
            .filter(|check| check.verdict == Verdict::DangerouslyAccepted);
        dangerously.map(|check| check.rule).collect()
    })
}

fn judged(
    devices: &[VerifiedDevice],
    rims: &[VerifiedRim],
    text: &str,
    nonce: Option<Digest<32>>,
) -> Result<Vec<RuleId>, Denial> {
    let mut rules = Rules::new();
    judge(&mut rules, &policy(text), devices, proven(rims), nonce);
    outcome(rules)
}

/// RIMs, none of which was refused.
fn proven(proven: &[VerifiedRim]) -> Rims<'_> {
    Rims { proven, refused: &[] }
}

fn refused_by(denial: &Denial) -> Vec<RuleId> {
    denial.reasons().iter().map(|reason| reason.rule).collect()
}

/// A GPU with these fields is refused by this rule alone; with these lines accepted.
fn refuses(fields: &[(u16, Vec<u8>)], rule: RuleId, accepting: &str) {
    let maker = Maker::new();
    let device = [maker.device("GH100", fields, true)];
    let rims = rims(&maker);
    let denial = judged(&device, &rims, STRICT, Some(NONCE)).expect_err("must be refused");
    assert_eq!(refused_by(&denial), [rule], "{denial}");
    assert!(denial.reasons()[0].found.starts_with("device 0: "));
    let dangerously: &[RuleId] = if accepting.contains("dangerously") {
        &[rule]
    } else {
        &[]
    };
    let accepted = judged(&device, &rims, &format!("{STRICT}{accepting}\n"), Some(NONCE));
    assert_eq!(accepted.as_deref(), Ok(dangerously), "{rule}");
}

#[test]
fn a_strict_device_satisfies_a_strict_policy_and_every_rule_is_judged_in_order() {
    let maker = Maker::new();
    let device = maker.device("GH100", &fields(), true);
    let rims = rims(&maker);
    let mut rules = Rules::new();
    let devices = [device];
    let expires = judge(&mut rules, &policy(STRICT), &devices, proven(&rims), Some(NONCE));
    assert_eq!(
        expires,
        rims[0].expires().min(rims[1].expires()).min(devices[0].expires())
    );
    let checks = rules.finish().unwrap();
    assert!(checks.iter().all(|check| check.verdict == Verdict::Holds));
    let judged: Vec<_> = checks.iter().map(|check| check.rule).collect();
    let of_gpus = |rule: &RuleId| rule.name().starts_with("nvidia-") && *rule != RuleId::NvidiaSwitchLock;
    let all: Vec<_> = RuleId::ALL.iter().copied().filter(of_gpus).collect();
    assert_eq!(judged, all);
}

#[test]
fn without_a_section_there_is_no_device() {
    let none = "";
    assert_eq!(judged(&[], &[], none, None), Ok(vec![]));
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let denial = judged(&device, &rims(&maker), none, Some(NONCE)).unwrap_err();
    assert!(refused_by(&denial).contains(&RuleId::NvidiaTopology));
    // One that is expected and does not come is missed.
    let denial = judged(&[], &[], STRICT, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaTopology]);
    let two = [
        device.into_iter().next().unwrap(),
        maker.device("GH100", &fields(), true),
    ];
    let denial = judged(&two, &rims(&maker), STRICT, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaTopology]);
    assert_eq!(
        denial.reasons()[0].found,
        "2 GPUs and 0 switches: not as many devices as expected"
    );
}

#[test]
fn the_nonce_is_the_one_of_the_cpus_evidence() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let rims = rims(&maker);
    for other in [None, Some(Digest::new([0; 32]))] {
        let denial = judged(&device, &rims, STRICT, other).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::NvidiaNonce]);
    }
}

#[test]
fn lines_and_versions_are_listed_or_have_floors() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let rims = rims(&maker);
    let with = |from: &str, to: &str| {
        assert!(STRICT.contains(from));
        let outcome = judged(&device, &rims, &STRICT.replace(from, to), Some(NONCE));
        outcome.map_err(|denial| refused_by(&denial))
    };
    assert_eq!(with("hopper", "blackwell"), Err(vec![RuleId::NvidiaArchitecture]));
    assert_eq!(with("570.86.10", "570.86.11"), Err(vec![RuleId::NvidiaDriver]));
    assert_eq!(with("570.86.10", "570.124"), Err(vec![RuleId::NvidiaDriver]));
    assert_eq!(with("570.86.10", "570.9"), Ok(vec![]));
    let exact = |version: &str| {
        with(
            "minimum_driver = \"570.86.10\"",
            &format!("drivers = [\"{version}\"]"),
        )
    };
    assert_eq!(exact("570.86.10"), Ok(vec![]));
    assert_eq!(exact("570.86.11"), Err(vec![RuleId::NvidiaDriver]));
    let firmware = |list: &str| with("[\"96.00.5E.00.01\"]", list);
    assert_eq!(firmware("[\"96.00.5D.FF.FF\"]"), Ok(vec![]));
    assert_eq!(
        firmware("[\"96.00.5E.00.02\"]"),
        Err(vec![RuleId::NvidiaFirmware])
    );
    // The floor of another line says nothing of this one.
    assert_eq!(
        firmware("[\"97.00.00.00.00\"]"),
        Err(vec![RuleId::NvidiaFirmware])
    );
    assert_eq!(
        firmware("[\"96.10.00.00.00\"]"),
        Err(vec![RuleId::NvidiaFirmware])
    );
    assert_eq!(firmware("[\"97.00.00.00.00\", \"96.00.00.00.00\"]"), Ok(vec![]));
    // Of two floors for one line the higher counts.
    assert_eq!(
        firmware("[\"96.00.00.00.00\", \"96.00.5E.00.02\"]"),
        Err(vec![RuleId::NvidiaFirmware])
    );
    let exact = |version: &str| {
        with(
            "minimum_firmware = [\"96.00.5E.00.01\"]",
            &format!("firmware = [\"{version}\"]"),
        )
    };
    assert_eq!(exact("96.00.5E.00.01"), Ok(vec![]));
    assert_eq!(exact("96.00.5E.00.02"), Err(vec![RuleId::NvidiaFirmware]));
}

#[test]
fn what_a_gpu_says_of_itself_has_its_rules() {
    refuses(
        &without(20),
        RuleId::NvidiaFirmwareId,
        "dangerously_accept_unreported = [\"firmware-id\"]",
    );
    refuses(
        &without(21),
        RuleId::NvidiaProtectedPcie,
        "dangerously_accept_unreported = [\"protected-pcie\"]",
    );
    refuses(
        &without(36),
        RuleId::NvidiaFeature,
        "dangerously_accept_unreported = [\"feature-flag\"]",
    );
    refuses(
        &with(36, &[1, 0]),
        RuleId::NvidiaFeature,
        "features = [\"multi-gpu\"]",
    );
    refuses(
        &with(36, &[2, 0]),
        RuleId::NvidiaFeature,
        "dangerously_accept_protected_pcie = true",
    );
    refuses(
        &with(21, &[0xaa]),
        RuleId::NvidiaProtectedPcie,
        "dangerously_accept_protected_pcie = true",
    );
    // Nobody can accept a use that has no name.
    let maker = Maker::new();
    let device = [maker.device("GH100", &with(36, &[3, 0]), true)];
    let text = format!("{STRICT}dangerously_accept_protected_pcie = true\n");
    let denial = judged(&device, &rims(&maker), &text, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaFeature]);
    assert_eq!(denial.reasons()[0].found, "device 0: unknown");
}

#[test]
fn revocation_that_nobody_checked_is_refused_unless_chosen() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), false)];
    let rims = rims(&maker);
    let denial = judged(&device, &rims, STRICT, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaRevocation]);
    let text = format!("{STRICT}dangerously_accept_unchecked_revocation = true\n");
    assert_eq!(
        judged(&device, &rims, &text, Some(NONCE)),
        Ok(vec![RuleId::NvidiaRevocation])
    );
}

#[test]
fn signers_of_rims_that_nobody_checked_are_refused_unless_chosen() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let driver = RimDraft::gpu("570.86.10", &DRIVER);
    let bios = RimDraft::gpu("96.00.5E.00.01", &VBIOS);
    let text = format!("{STRICT}dangerously_accept_unchecked_rim_revocation = true\n");
    // One of the two is enough to be refused.
    for unchecked in [[true, false], [false, true], [true, true]] {
        let rim = |draft: &RimDraft, unchecked: bool| match unchecked {
            true => maker.rim_answered(draft, &[]),
            false => maker.rim(draft),
        };
        let rims = [rim(&driver, unchecked[0]), rim(&bios, unchecked[1])];
        let denial = judged(&device, &rims, STRICT, Some(NONCE)).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::NvidiaRimRevocation]);
        assert_eq!(denial.reasons()[0].found, "device 0: not checked");
        assert_eq!(
            judged(&device, &rims, &text, Some(NONCE)),
            Ok(vec![RuleId::NvidiaRimRevocation])
        );
    }
    // Of two that match, the one whose signer was checked counts, in any order.
    let pair = || [maker.rim_answered(&driver, &[]), maker.rim(&driver)];
    for reversed in [false, true] {
        let mut rims = Vec::from(pair());
        if reversed {
            rims.reverse();
        }
        rims.push(maker.rim(&bios));
        assert_eq!(judged(&device, &rims, STRICT, Some(NONCE)), Ok(vec![]));
    }
    // The device's own answers are not those of a signer.
    let old = format!("{STRICT}dangerously_accept_unchecked_revocation = true\n");
    let rims = [maker.rim_answered(&driver, &[]), maker.rim(&bios)];
    assert!(judged(&device, &rims, &old, Some(NONCE)).is_err());
}

#[test]
fn a_rim_that_was_refused_is_told_where_one_is_missing() {
    use crate::x509::RevocationReason;
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let bios = [maker.rim(&RimDraft::gpu("96.00.5E.00.01", &VBIOS))];
    let refused = [RimError::Revoked {
        link: 0,
        since: AT,
        reason: RevocationReason::KeyCompromise,
    }];
    let mut rules = Rules::new();
    let rims = Rims {
        proven: &bios,
        refused: &refused,
    };
    judge(&mut rules, &policy(STRICT), &device, rims, Some(NONCE));
    let denial = outcome(rules).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaRims]);
    let found = &denial.reasons()[0].found;
    assert!(
        found.contains("1 of its VBIOS; 1 refused: certificate 0 of the RIM's signer is revoked since"),
        "{found}"
    );
}

#[test]
fn dice_flags_are_refused_but_those_named_and_the_width() {
    let maker = Maker::new();
    let judge_flags = |flags: [u8; 4], more: &str| {
        let mut chain: Chain = device_chain("GB202").numbered();
        chain.leaf().extensions.pop();
        chain.leaf().extensions.push(tcb_info(&FIRMWARE, flags));
        let device = [maker.of_chain(&chain, "GB202", &fields(), true)];
        let mut drafts = [
            RimDraft::gpu("570.86.10", &DRIVER),
            RimDraft::gpu("96.00.5E.00.01", &VBIOS),
        ];
        drafts.iter_mut().for_each(|draft| draft.product = "GB100");
        let rims = drafts.map(|draft| maker.rim(&draft));
        let text = format!("{}{more}", STRICT.replace("hopper", "blackwell"));
        judged(&device, &rims, &text, Some(NONCE)).map_err(|denial| refused_by(&denial))
    };
    let flag = vec![RuleId::NvidiaDiceFlags];
    assert_eq!(judge_flags([0, 0, 0, 1], ""), Ok(vec![]));
    assert_eq!(judge_flags([0x80, 0, 0, 1], ""), Err(flag.clone()));
    assert_eq!(judge_flags([0, 0, 1, 1], ""), Err(flag.clone()));
    let named = "dangerously_accept_dice_flags = [\"not-configured\"]\n";
    assert_eq!(judge_flags([0x80, 0, 0, 1], named), Ok(flag.clone()));
    assert_eq!(judge_flags([0x90, 0, 0, 1], named), Err(flag));
}

#[test]
fn rims_are_chosen_by_what_the_device_reports() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let mut stale = RimDraft::gpu("96.00.5E.00.01", &VBIOS);
    stale.resources[8].2 = vec![measurement(9)];
    let driver = || maker.rim(&RimDraft::gpu("570.86.10", &DRIVER));
    let vbios = || maker.rim(&RimDraft::gpu("96.00.5E.00.01", &VBIOS));
    let found = |rims: &[VerifiedRim]| match judged(&device, rims, STRICT, Some(NONCE)) {
        Ok(_) => String::new(),
        Err(denial) => denial.to_string(),
    };
    // Others' RIMs, an old one of the same version, any order.
    let other = maker.rim(&RimDraft::gpu("570.124.03", &DRIVER));
    assert_eq!(found(&[other, maker.rim(&stale), vbios(), driver()]), "");
    let none = found(&[]);
    assert!(
        none.contains(
            "nvidia-rims: expected RIMs of its driver and VBIOS, found device 0: 0 of its driver, 0"
        ),
        "{none}"
    );
    assert!(!none.contains("nvidia-measurements-match"));
    let no_driver = found(&[vbios()]);
    assert!(no_driver.contains("found device 0: 0 of its driver, 1 of its VBIOS"));
    // The one that is there is compared, to say more.
    let stale_alone = found(&[maker.rim(&stale)]);
    assert!(
        stale_alone.contains("of version 96.00.5E.00.01, others at [8]"),
        "{stale_alone}"
    );
    let differs = found(&[driver(), maker.rim(&stale)]);
    assert!(
        differs.contains("device 0: measurements differ: driver [], BIOS [8]"),
        "{differs}"
    );
    let mut staler = stale.clone();
    staler.resources[63].2 = vec![measurement(9)];
    let nearest = found(&[driver(), maker.rim(&staler), maker.rim(&stale)]);
    assert!(nearest.contains("BIOS [8]"), "{nearest}");
    let mut foreign = RimDraft::gpu("570.86.10", &DRIVER);
    foreign.product = "GB100";
    assert!(found(&[maker.rim(&foreign), vbios()]).contains("0 of its driver"));
}

#[test]
fn an_idle_decoder_is_exempt_only_where_it_is_chosen() {
    let maker = Maker::new();
    let device = [maker.device("GH100", &fields(), true)];
    let mut driver = RimDraft::gpu("570.86.10", &DRIVER);
    driver.resources[35].2 = vec![measurement(9)];
    let rims = [
        maker.rim(&driver),
        maker.rim(&RimDraft::gpu("96.00.5E.00.01", &VBIOS)),
    ];
    let denial = judged(&device, &rims, STRICT, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaIdleDecoder]);
    assert_eq!(denial.reasons()[0].found, "device 0: [35]");
    let text = format!("{STRICT}dangerously_exempt_idle_decoder = true\n");
    assert_eq!(
        judged(&device, &rims, &text, Some(NONCE)),
        Ok(vec![RuleId::NvidiaIdleDecoder])
    );
}

#[test]
fn a_machine_of_gpus_and_switches_is_whole() {
    const SWITCHES: [[u8; 8]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4, 3, 2]];
    const GPUS: [[u8; 8]; 8] = [[1; 8], [2; 8], [1; 8], [2; 8], [1; 8], [2; 8], [1; 8], [2; 8]];
    let maker = Maker::new();
    let mut fields = with(36, &[2, 0]);
    fields.retain(|(number, _)| *number != 21);
    fields.push((21, vec![0xaa]));
    let backwards = |mut pdi: [u8; 8]| {
        pdi.reverse();
        pdi
    };
    let ports: Vec<u8> = (0..18).flat_map(|port| backwards(SWITCHES[port % 2])).collect();
    fields.push((22, ports));
    let machine = |lock: u8| -> Vec<VerifiedDevice> {
        let mut devices: Vec<_> = (0..2).map(|_| maker.device("GH100", &fields, true)).collect();
        for own in SWITCHES {
            let mut fields = switch_fields(own, &GPUS);
            fields.retain(|(number, _)| *number != 25);
            fields.push((25, vec![lock, 0]));
            devices.push(maker.device("LS_10", &fields, true));
        }
        devices
    };
    let mut bios = RimDraft::gpu("96.10.55.00.01", &[0, 30]);
    (bios.edition, bios.product) = ("SWITCH", "LS10");
    let mut rims = rims(&maker);
    rims.push(maker.rim(&bios));
    let text = "gpus = 2\nswitches = 2\narchitectures = [\"hopper\", \"ls10\"]\nminimum_driver = \"570.86.10\"\n\
                minimum_firmware = [\"96.00.5E.00.01\", \"96.10.55.00.01\"]\n\
                dangerously_accept_protected_pcie = true\n\
                dangerously_accept_unreported = [\"switch-firmware-id\"]\n";
    let accepted = judged(&machine(1), &rims, text, Some(NONCE)).unwrap();
    let of = |rule| accepted.iter().filter(|accepted| **accepted == rule).count();
    assert_eq!(
        [
            of(RuleId::NvidiaFeature),
            of(RuleId::NvidiaProtectedPcie),
            of(RuleId::NvidiaFirmwareId)
        ],
        [2, 2, 2]
    );
    assert_eq!(accepted.len(), 6);

    let denial = judged(&machine(0), &rims, text, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaSwitchLock; 2]);
    assert!(denial.reasons()[1].found.starts_with("device 3: "));
    let open = format!("{text}dangerously_accept_unlocked_switches = true\n");
    assert!(judged(&machine(0), &rims, &open, Some(NONCE)).is_ok());

    let mut fewer = machine(1);
    fewer.pop();
    let denial = judged(&fewer, &rims, text, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaTopology]);
    let denial = judged(&machine(1), &rims[..2], text, Some(NONCE)).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::NvidiaRims; 2]);
    let expires = judge(
        &mut Rules::new(),
        &policy(text),
        &machine(1),
        proven(&rims),
        Some(NONCE),
    );
    assert!(AT < expires);
}

/// For the drivers of 2023 and 2024, which report little, and no answers were collected with them.
const OLD: &str = "gpus = 1\narchitectures = [\"hopper\"]\nminimum_driver = \"535.00\"\n\
    minimum_firmware = [\"96.00.00.00.00\"]\ndangerously_accept_unchecked_revocation = true\n\
    dangerously_accept_unchecked_rim_revocation = true\n\
    dangerously_accept_unreported = [\"firmware-id\", \"feature-flag\", \"protected-pcie\"]\n";

#[test]
fn real_devices_are_judged_by_policy() {
    let test = "appraise::nvidia::real_devices_are_judged_by_policy";
    let rim = |path, now| real_rim(test, path, now).map(|rim| rim.unwrap());
    let (Some(driver), Some(vbios), Some(stale)) = (
        rim("h100-545-gonvtrust/driver_rim.xml", IN_2024),
        rim("h100-545-gonvtrust/vbios_rim.xml", IN_2024),
        rim("h100-580-sdk/vbios_rim_stale.xml", IN_2024),
    ) else {
        return;
    };
    let rims = [driver, vbios, stale];
    let found = |folder: &str, text: &str| {
        let device = [real(test, folder).unwrap()];
        let nonce = device[0].report().nonce();
        judged(&device, &rims, text, Some(nonce)).map_err(|denial| {
            let reason = denial.reasons().last().unwrap();
            (refused_by(&denial), reason.found.clone())
        })
    };
    assert!(found("h100-545-gonvtrust", OLD).is_ok());
    let newer = OLD.replace("535.00", "550.90");
    let (rules, driver) = found("h100-545-gonvtrust", &newer).unwrap_err();
    assert_eq!(
        (rules, driver.as_str()),
        (vec![RuleId::NvidiaDriver], "device 0: 545.00")
    );
    // No RIM of its driver was collected, and the one of its VBIOS is older than its firmware.
    let (rules, differs) = found("h100-580-sdk", OLD).unwrap_err();
    assert_eq!(rules, [RuleId::NvidiaRims, RuleId::NvidiaMeasurements]);
    assert!(differs.ends_with("others at [9]"), "{differs}");
    let (rules, _) = found("b100-575-sdk", &OLD.replace("hopper", "blackwell")).unwrap_err();
    assert!(rules.contains(&RuleId::NvidiaFirmware), "{rules:?}");
    assert!(rules.contains(&RuleId::NvidiaDiceFlags), "{rules:?}");
    let strict = OLD.replace("dangerously_accept_unchecked_revocation = true\n", "");
    let (rules, _) = found("h100-545-gonvtrust", &strict).unwrap_err();
    assert_eq!(rules, [RuleId::NvidiaRevocation]);
}

#[test]
fn a_real_switch_is_judged_by_policy() {
    let test = "appraise::nvidia::a_real_switch_is_judged_by_policy";
    let Some(rim) = real_rim(test, "ls10-switch-sdk/vbios_rim.xml", IN_2026) else {
        return;
    };
    let switch = [real(test, "ls10-switch-sdk").unwrap()];
    let text = "gpus = 1\nswitches = 1\narchitectures = [\"ls10\"]\nminimum_driver = \"535.00\"\n\
                minimum_firmware = [\"96.10.55.00.01\"]\ndangerously_accept_unchecked_revocation = true\n\
                dangerously_accept_unchecked_rim_revocation = true\n\
                dangerously_accept_unreported = [\"switch-firmware-id\"]\n";
    let nonce = switch[0].report().nonce();
    let denial = judged(&switch, &[rim.unwrap()], text, Some(nonce)).unwrap_err();
    // Everything but its GPUs, which were not collected.
    assert_eq!(refused_by(&denial), [RuleId::NvidiaTopology]);
}
