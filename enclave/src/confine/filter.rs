//! The table of system calls as filters of the kernel.
//!
//! Why apart: the one place where a row becomes instructions, and where they are handed to the kernel.
//!
//! One filter has one answer for what it lists, so each error of the table is a filter of its own; the kernel obeys the
//! sternest. The list itself comes last: after it no filter can be added.
//!
//! # Invariants
//! What is not listed, an unlisted argument, or another architecture's call (x32 and 32-bit among them) ends the process.
//! All threads get the same filters, or the process does not go on.

use std::collections::{BTreeMap, BTreeSet};

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::ConfineError;
use super::syscalls::{Answer, Call, Check, Test};

/// Puts `table` into force on all threads.
///
/// # Errors
/// [`ConfineError::Seccomp`], [`ConfineError::NoSeccomp`].
pub(super) fn install(table: &[Call]) -> Result<(), ConfineError> {
    for program in programs(table, std::process::id())? {
        seccompiler::apply_filter_all_threads(&program).map_err(|error| match error {
            seccompiler::Error::Seccomp(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                ConfineError::NoSeccomp
            }
            _ => ConfineError::Seccomp,
        })?;
    }
    Ok(())
}

/// The filters in the order they are put into force.
fn programs(table: &[Call], process: u32) -> Result<Vec<BpfProgram>, ConfineError> {
    let errors: BTreeSet<i32> = table
        .iter()
        .filter_map(|call| match call.answer {
            Answer::Error(errno) => Some(errno),
            _ => None,
        })
        .collect();
    let mut programs = Vec::new();
    for errno in errors {
        let listed = table.iter().filter(|call| call.answer == Answer::Error(errno));
        let listed = listed.map(|call| (call.number, Vec::new())).collect();
        let answer = SeccompAction::Errno(errno.cast_unsigned());
        programs.push(compile(listed, SeccompAction::Allow, answer)?);
    }
    let mut listed = BTreeMap::new();
    for call in table {
        listed.insert(call.number, rules(&call.answer, process)?);
    }
    programs.push(compile(listed, SeccompAction::KillProcess, SeccompAction::Allow)?);
    Ok(programs)
}

fn compile(
    listed: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    answer: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let filter = SeccompFilter::new(listed, otherwise, answer, TargetArch::x86_64);
    let filter = filter.map_err(|_| ConfineError::Seccomp)?;
    BpfProgram::try_from(filter).map_err(|_| ConfineError::Seccomp)
}

/// No rule: whatever the arguments are.
fn rules(answer: &Answer, process: u32) -> Result<Vec<SeccompRule>, ConfineError> {
    let Answer::Only(cases) = answer else {
        return Ok(Vec::new());
    };
    let rule = |case: &Vec<Check>| {
        let conditions: Result<_, _> = case.iter().map(|check| condition(check, process)).collect();
        SeccompRule::new(conditions?)
    };
    let rules: Result<Vec<_>, _> = cases.iter().map(rule).collect();
    rules.map_err(|_| ConfineError::Seccomp)
}

fn condition((argument, test): &Check, process: u32) -> Result<SeccompCondition, seccompiler::BackendError> {
    let equal = SeccompCmpOp::Eq;
    let (width, operator, value) = match *test {
        Test::Is(number) => (SeccompCmpArgLen::Dword, equal, u64::from(number.cast_unsigned())),
        Test::Masked(mask, value) => {
            let operator = SeccompCmpOp::MaskedEq(u64::from(mask));
            (SeccompCmpArgLen::Dword, operator, u64::from(value))
        }
        Test::Null => (SeccompCmpArgLen::Qword, equal, 0),
        Test::OwnProcess => (SeccompCmpArgLen::Dword, equal, u64::from(process)),
    };
    SeccompCondition::new(*argument, width, operator, value)
}
