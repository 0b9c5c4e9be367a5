//! Words for the numbers of system calls: call names, capabilities, namespaces, commands. x86-64 and the kernel's own
//! headers; a number without a word is shown as a number.

use std::borrow::Cow;

/// Calls that events name, by number (`arch/x86/entry/syscalls/syscall_64.tbl`).
const CALLS: [(u64, &str); 39] = [
    (1, "write"),
    (41, "socket"),
    (56, "clone"),
    (101, "ptrace"),
    (105, "setuid"),
    (106, "setgid"),
    (113, "setreuid"),
    (114, "setregid"),
    (116, "setgroups"),
    (117, "setresuid"),
    (119, "setresgid"),
    (122, "setfsuid"),
    (123, "setfsgid"),
    (126, "capset"),
    (135, "personality"),
    (159, "adjtimex"),
    (161, "chroot"),
    (163, "acct"),
    (164, "settimeofday"),
    (167, "swapon"),
    (168, "swapoff"),
    (169, "reboot"),
    (170, "sethostname"),
    (171, "setdomainname"),
    (175, "init_module"),
    (176, "delete_module"),
    (227, "clock_settime"),
    (246, "kexec_load"),
    (272, "unshare"),
    (305, "clock_adjtime"),
    (308, "setns"),
    (311, "process_vm_writev"),
    (313, "finit_module"),
    (320, "kexec_file_load"),
    (321, "bpf"),
    (323, "userfaultfd"),
    (425, "io_uring_setup"),
    (435, "clone3"),
    (446, "landlock_restrict_self"),
];

/// The name of a system call that an event names.
#[must_use]
pub fn call(number: u64) -> Option<&'static str> {
    CALLS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// Capabilities from 0 on (`include/uapi/linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `cap_net_admin,cap_net_raw`; `all` for every one that this version knows; when most are set, `all` and behind it
/// those that are not: `all,-cap_sys_boot`.
#[must_use]
pub fn capabilities(bits: u64) -> String {
    let all = (1 << CAPABILITIES.len()) - 1;
    let is_most = (bits & all).count_ones() as usize > CAPABILITIES.len() / 2;
    let (first, sign, shown) = if is_most { (Some("all"), "-", !bits & all) } else { (None, "", bits) };
    let word = |bit: usize| match CAPABILITIES.get(bit) {
        Some(name) => format!("{sign}cap_{name}"),
        None => format!("{sign}cap_{bit}"),
    };
    let words = (0..64).filter(|bit| shown & (1 << bit) != 0).map(word);
    first.map(str::to_owned).into_iter().chain(words).collect::<Vec<_>>().join(",")
}

/// `CLONE_NEW*` with the word of the namespace in /proc/PID/ns.
pub const NAMESPACES: [(u64, &str); 8] = [
    (0x1000_0000, "user"),
    (0x0002_0000, "mnt"),
    (0x2000_0000, "pid"),
    (0x4000_0000, "net"),
    (0x0800_0000, "ipc"),
    (0x0400_0000, "uts"),
    (0x0200_0000, "cgroup"),
    (0x0000_0080, "time"),
];

/// A word of a list that begins at 0, or the number behind a prefix.
fn word(words: &'static [&'static str], prefix: &str, number: u64) -> Cow<'static, str> {
    let known = usize::try_from(number).ok().and_then(|number| words.get(number));
    known.map_or_else(|| Cow::Owned(format!("{prefix}{number}")), |word| Cow::Borrowed(*word))
}

/// A word of a table, or the number behind a prefix.
fn entry(table: &'static [(u64, &'static str)], prefix: &str, number: u64) -> Cow<'static, str> {
    let known = table.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| Cow::Owned(format!("{prefix}{number:#x}")), |(_, word)| Cow::Borrowed(*word))
}

/// Command of bpf(2), without `BPF_`.
#[must_use]
pub fn bpf_command(number: u64) -> Cow<'static, str> {
    word(&BPF_COMMANDS, "", number)
}

const BPF_COMMANDS: [&str; 39] = [
    "MAP_CREATE",
    "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",
    "MAP_DELETE_ELEM",
    "MAP_GET_NEXT_KEY",
    "PROG_LOAD",
    "OBJ_PIN",
    "OBJ_GET",
    "PROG_ATTACH",
    "PROG_DETACH",
    "PROG_TEST_RUN",
    "PROG_GET_NEXT_ID",
    "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID",
    "MAP_GET_FD_BY_ID",
    "OBJ_GET_INFO_BY_FD",
    "PROG_QUERY",
    "RAW_TRACEPOINT_OPEN",
    "BTF_LOAD",
    "BTF_GET_FD_BY_ID",
    "TASK_FD_QUERY",
    "MAP_LOOKUP_AND_DELETE_ELEM",
    "MAP_FREEZE",
    "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH",
    "MAP_LOOKUP_AND_DELETE_BATCH",
    "MAP_UPDATE_BATCH",
    "MAP_DELETE_BATCH",
    "LINK_CREATE",
    "LINK_UPDATE",
    "LINK_GET_FD_BY_ID",
    "LINK_GET_NEXT_ID",
    "ENABLE_STATS",
    "ITER_CREATE",
    "LINK_DETACH",
    "PROG_BIND_MAP",
    "TOKEN_CREATE",
    "PROG_STREAM_READ_BY_FD",
    "PROG_ASSOC_STRUCT_OPS",
];

/// Type of a bpf program, without `BPF_PROG_TYPE_`, in small letters.
#[must_use]
pub fn program_type(number: u64) -> Cow<'static, str> {
    word(&PROGRAM_TYPES, "prog_type_", number)
}

const PROGRAM_TYPES: [&str; 33] = [
    "unspec",
    "socket_filter",
    "kprobe",
    "sched_cls",
    "sched_act",
    "tracepoint",
    "xdp",
    "perf_event",
    "cgroup_skb",
    "cgroup_sock",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "sock_ops",
    "sk_skb",
    "cgroup_device",
    "sk_msg",
    "raw_tracepoint",
    "cgroup_sock_addr",
    "lwt_seg6local",
    "lirc_mode2",
    "sk_reuseport",
    "flow_dissector",
    "cgroup_sysctl",
    "raw_tracepoint_writable",
    "cgroup_sockopt",
    "tracing",
    "struct_ops",
    "ext",
    "lsm",
    "sk_lookup",
    "syscall",
    "netfilter",
];

/// Type of a bpf map, without `BPF_MAP_TYPE_`, in small letters.
#[must_use]
pub fn map_type(number: u64) -> Cow<'static, str> {
    word(&MAP_TYPES, "map_type_", number)
}

const MAP_TYPES: [&str; 34] = [
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];

/// Request of ptrace(2), without `PTRACE_`.
#[must_use]
pub fn ptrace_request(number: u64) -> Cow<'static, str> {
    entry(&PTRACE_REQUESTS, "", number)
}

const PTRACE_REQUESTS: [(u64, &str); 10] = [
    (0, "TRACEME"),
    (4, "POKETEXT"),
    (5, "POKEDATA"),
    (6, "POKEUSR"),
    (13, "SETREGS"),
    (15, "SETFPREGS"),
    (16, "ATTACH"),
    (19, "SETFPXREGS"),
    (0x4205, "SETREGSET"),
    (0x4206, "SEIZE"),
];

/// Command of reboot(2), without `LINUX_REBOOT_CMD_`.
#[must_use]
pub fn reboot_command(number: u64) -> Cow<'static, str> {
    entry(&REBOOT_COMMANDS, "", number)
}

const REBOOT_COMMANDS: [(u64, &str); 8] = [
    (0x0123_4567, "RESTART"),
    (0xa1b2_c3d4, "RESTART2"),
    (0xcdef_0123, "HALT"),
    (0x4321_fedc, "POWER_OFF"),
    (0x89ab_cdef, "CAD_ON"),
    (0, "CAD_OFF"),
    (0xd000_fce2, "SW_SUSPEND"),
    (0x4558_4543, "KEXEC"),
];

/// A clock; those of devices have numbers that are negative for the caller.
#[must_use]
pub fn clock(number: u64) -> Cow<'static, str> {
    word(&CLOCKS, "CLOCK_", number)
}

const CLOCKS: [&str; 12] = [
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
    "CLOCK_SGI_CYCLE",
    "CLOCK_TAI",
];

/// Family and type of a socket.
#[must_use]
pub fn socket(family: u64, kind: u64) -> String {
    let family = entry(&[(2, "AF_INET"), (10, "AF_INET6"), (17, "AF_PACKET"), (44, "AF_XDP")], "", family);
    let kind = entry(&[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW")], "", kind & 0xf);
    format!("{family} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_words_and_unknown_ones_stay_numbers() {
        assert_eq!(capabilities(0), "");
        assert_eq!(capabilities(1 << 13 | 1 << 12), "cap_net_admin,cap_net_raw");
        assert_eq!(capabilities((1 << 41) - 1), "all");
        assert_eq!(capabilities(((1 << 41) - 1) & !(1 << 22)), "all,-cap_sys_boot");
        assert_eq!(capabilities(1 << 50), "cap_50");
        assert_eq!((call(105), call(9999)), (Some("setuid"), None));
        assert_eq!((&*bpf_command(5), &*bpf_command(99)), ("PROG_LOAD", "99"));
        assert_eq!((&*program_type(29), &*map_type(27)), ("lsm", "ringbuf"));
        assert_eq!((&*ptrace_request(16), &*ptrace_request(0x99)), ("ATTACH", "0x99"));
        assert_eq!((&*reboot_command(0x0123_4567), &*clock(0)), ("RESTART", "CLOCK_REALTIME"));
        assert_eq!(socket(17, 3 | 0o2_000_000), "AF_PACKET SOCK_RAW");
    }
}
