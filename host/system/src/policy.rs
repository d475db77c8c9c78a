//! Device policies as add_drv(8) and update_drv(8) take them with `-p`: for which minor nodes, and which privileges an open needs.
//!
//! A policy is words: `NAME=PRIVILEGES` with the names `read_priv_set` and `write_priv_set`, for all minor nodes or for those that the word before
//! them names: a minor name with at most one `*`, or a range of minor numbers, `(LOW-HIGH)c` for characters and `(LOW-HIGH)b` for blocks.

use crate::add_drv::Refused;

const BAD_MINOR: &str = "Minor device specification cannot include ``:''.\n";
const INVALID: &str = "Invalid policy specification\n";
/// Greatest minor number that a range may name.
const MAX_MINOR: u64 = 0x3_ffff;

/// illumos's privileges; privileges(7).
const PRIVILEGES: &[&str] = &[
    "contract_event",
    "contract_identity",
    "contract_observer",
    "cpc_cpu",
    "dtrace_kernel",
    "dtrace_proc",
    "dtrace_user",
    "file_chown",
    "file_chown_self",
    "file_dac_execute",
    "file_dac_read",
    "file_dac_search",
    "file_dac_write",
    "file_downgrade_sl",
    "file_flag_set",
    "file_link_any",
    "file_owner",
    "file_read",
    "file_setid",
    "file_upgrade_sl",
    "file_write",
    "graphics_access",
    "graphics_map",
    "ipc_dac_read",
    "ipc_dac_write",
    "ipc_owner",
    "net_access",
    "net_bindmlp",
    "net_icmpaccess",
    "net_mac_aware",
    "net_mac_implicit",
    "net_observability",
    "net_privaddr",
    "net_rawaccess",
    "proc_audit",
    "proc_chroot",
    "proc_clock_highres",
    "proc_exec",
    "proc_fork",
    "proc_info",
    "proc_lock_memory",
    "proc_owner",
    "proc_priocntl",
    "proc_prioup",
    "proc_secflags",
    "proc_session",
    "proc_setid",
    "proc_taskid",
    "proc_zone",
    "sys_acct",
    "sys_admin",
    "sys_audit",
    "sys_config",
    "sys_devices",
    "sys_dl_config",
    "sys_flow_config",
    "sys_ip_config",
    "sys_ipc_config",
    "sys_iptun_config",
    "sys_linkdir",
    "sys_mount",
    "sys_net_config",
    "sys_nfs",
    "sys_ppp_config",
    "sys_res_bind",
    "sys_res_config",
    "sys_resource",
    "sys_share",
    "sys_smb",
    "sys_suser_compat",
    "sys_time",
    "sys_trans_label",
    "virt_manage",
    "win_colormap",
    "win_config",
    "win_dac_read",
    "win_dac_write",
    "win_devices",
    "win_dga",
    "win_downgrade_sl",
    "win_fontpath",
    "win_mac_read",
    "win_mac_write",
    "win_selection",
    "win_upgrade_sl",
    "xvm_control",
];

/// The number of a privilege, which is the same as long as the host runs; None for a name that no privilege has.
pub fn privilege(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_prefix("priv_").unwrap_or(&name);
    PRIVILEGES.iter().position(|known| *known == bare)
}

/// Checks a policy and gives its lines as etc/security/device_policy has them; `deleted`: of a policy that is to be taken away, which names minor
/// nodes only. `own` knows the privileges that drivers have brought with `-P`.
///
/// # Errors
/// What illumos says of a wrong one.
pub(crate) fn check(
    text: &str,
    driver: &str,
    deleted: bool,
    own: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, Refused> {
    let mut lines: Vec<String> = Vec::new();
    let mut said = false;
    for word in text.split([' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        if let Some((name, privileges)) = word.split_once('=') {
            check_word(name, privileges, own)?;
            if lines.is_empty() {
                lines.push(format!("{driver}:*"));
            }
            let line = lines.last_mut().expect("there is one");
            line.push('\t');
            line.push_str(word);
            said = true;
            continue;
        }
        let stars = word.matches('*').count();
        if word.contains(':') || stars > 1 || word.starts_with('(') && !range(word, deleted) {
            return Err(BAD_MINOR.into());
        }
        lines.push(format!("{driver}:{word}"));
        said = false;
    }
    if lines.is_empty() || said == deleted { Err(INVALID.into()) } else { Ok(lines) }
}

fn check_word(name: &str, privileges: &str, own: &dyn Fn(&str) -> bool) -> Result<(), Refused> {
    if !matches!(name, "read_priv_set" | "write_priv_set") {
        return Err(format!("Bad policy token: ``{name}''.\n"));
    }
    let mut at = 0;
    for privilege in privileges.split(',') {
        let bare = privilege.strip_prefix(['!', '-']).unwrap_or(privilege).to_ascii_lowercase();
        let bare = bare.strip_prefix("priv_").unwrap_or(&bare);
        let known =
            matches!(bare, "" | "all" | "none" | "basic" | "zone") || PRIVILEGES.contains(&bare) || own(bare);
        if !known {
            let (before, from) = privileges.split_at(at);
            return Err(format!("Error in privilege set specification: {before}[HERE->]{from}\n"));
        }
        at += privilege.len() + 1;
    }
    Ok(())
}

/// Is this `(LOW-HIGH)` or `(NUMBER)`, and `b` or `c` behind it, which one that is to be taken away need not have?
fn range(word: &str, deleted: bool) -> bool {
    let parse = || {
        let (inside, kind) = word.strip_prefix('(')?.split_once(')')?;
        let (low, high) = inside.split_once('-').unwrap_or((inside, inside));
        let (low, high) = (number(low)?, number(high)?);
        Some(
            low <= high
                && high <= MAX_MINOR
                && (matches!(kind, "b" | "B" | "c" | "C") || deleted && kind.is_empty()),
        )
    };
    parse().unwrap_or(false)
}

/// A number as strtoul(3C) reads it with base 0.
fn number(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&text[2..], 16).ok(),
        [b'0', _, ..] => u64::from_str_radix(&text[1..], 8).ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Vec<String>, String> {
        check(text, "ctxdev", false, &|name| name == "ctxdev_use")
    }

    #[test]
    fn policies_are_for_all_minor_nodes_or_for_those_that_are_named() {
        let both = "read_priv_set=none write_priv_set=sys_config,!proc_exec";
        assert_eq!(
            checked(both).unwrap(),
            ["ctxdev:*\tread_priv_set=none\twrite_priv_set=sys_config,!proc_exec"]
        );
        let two = "ctl* read_priv_set=PRIV_SYS_DEVICES (0-0x10)c write_priv_set=ctxdev_use";
        let lines =
            ["ctxdev:ctl*\tread_priv_set=PRIV_SYS_DEVICES", "ctxdev:(0-0x10)c\twrite_priv_set=ctxdev_use"];
        assert_eq!(checked(two).unwrap(), lines);
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_said_as_illumos_says_it() {
        for (text, said) in [
            ("", INVALID),
            ("ctl", INVALID),
            ("read_priv_set=none ctl", INVALID),
            ("a:b read_priv_set=none", BAD_MINOR),
            ("a*b* read_priv_set=none", BAD_MINOR),
            ("(3-1)c read_priv_set=none", BAD_MINOR),
            ("(1-3) read_priv_set=none", BAD_MINOR),
            ("(1-3)d read_priv_set=none", BAD_MINOR),
            ("(0-0x40000)c read_priv_set=none", BAD_MINOR),
            ("exec_priv_set=none", "Bad policy token: ``exec_priv_set''.\n"),
            (
                "read_priv_set=none,sys_confg,all",
                "Error in privilege set specification: none,[HERE->]sys_confg,all\n",
            ),
        ] {
            assert_eq!(checked(text).unwrap_err(), said, "{text}");
        }
    }

    #[test]
    fn one_that_is_taken_away_names_minor_nodes_only() {
        let taken = |text| check(text, "ctxdev", true, &|_| false);
        assert_eq!(taken("* (1-3)").unwrap(), ["ctxdev:*", "ctxdev:(1-3)"]);
        assert_eq!(taken("read_priv_set=none").unwrap_err(), INVALID);
    }
}
