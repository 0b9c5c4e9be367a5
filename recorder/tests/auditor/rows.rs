//! One entry for each row of the page. Nothing here changes the machine: files are changed in a mount namespace where
//! the places in question are empty memory, names and restarts in namespaces of their own; what has none, such as the
//! clock, is tried as user nobody, so that the call fails and its errno is recorded.

use std::process::Command;

/// How a row is made to happen.
pub enum Act {
    /// By a shell in a mount namespace with empty memory in the places of [`apart`].
    Shell(&'static str),
    /// By a shell that sees the real /etc, for PAM, and an empty /var/log.
    Login(&'static str),
    /// By a function of `calls`.
    Calls(&'static str),
    /// By the recorder itself.
    Recorder,
    /// Not covered.
    Nothing,
}

/// A row: its number, what makes it happen, and the events to be found as `key=value` words.
pub struct Row {
    pub number: usize,
    pub act: Act,
    pub wanted: &'static [&'static str],
}

const fn row(number: usize, act: Act, wanted: &'static [&'static str]) -> Row {
    Row { number, act, wanted }
}

/// A shell in a mount namespace of its own, where what auditors watch is empty.
pub fn apart(script: &str) -> Command {
    let prelude = "for place in /etc /var/log /var/spool /home /srv; do mkdir -p $place; mount -t tmpfs -o mode=755 none $place; done; \
                   run() { cp /bin/sh \"$1\"; \"$1\" -c \"exit ${2:-0}\"; }; nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'; ";
    shell(&format!("{prelude}{script}"))
}

/// A shell whose logins leave nothing in the logs of this machine.
pub fn beside_logs(script: &str) -> Command {
    shell(&format!("mount -t tmpfs none /var/log; mount -t tmpfs none /run; {script}"))
}

/// Whether this host has logins at all: a guest of the tests may not.
pub fn has_logins() -> bool {
    ["/usr/bin/su", "/etc/pam.d/su"].iter().all(|path| std::path::Path::new(path).is_file())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script]);
    command
}

/// The rows, in the order of the page.
pub const ROWS: &[Row] = &[
    row(
        1,
        Act::Shell(
            "echo a > /etc/sudoers; mkdir /etc/sudoers.d; echo a > /etc/sudoers.d/b; chmod 600 /etc/sudoers",
        ),
        &[
            "kind=file_create path=/etc/sudoers result=ok",
            "kind=file_write path=/etc/sudoers flag=first",
            "kind=file_create path=/etc/sudoers.d/b",
            "kind=attr_mode path=/etc/sudoers mode_set=0600",
        ],
    ),
    row(
        2,
        Act::Shell("echo 1000 > /proc/self/loginuid; /bin/true"),
        &["kind=exec exe=/usr/bin/true loginuid=1000 uid=0 euid=0"],
    ),
    row(
        3,
        Act::Shell(
            "echo a > /var/log/sudo.log; mkdir /var/log/sudo-io; echo a > /var/log/sudo-io/1; rm /var/log/sudo.log",
        ),
        &[
            "kind=file_write path=/var/log/sudo.log flag=close bytes=2",
            "kind=file_delete path=/var/log/sudo.log",
            "kind=file_create path=/var/log/sudo-io/1",
        ],
    ),
    row(
        4,
        Act::Calls("clocks"),
        &[
            "kind=clock call=clock_settime result=EPERM clock=CLOCK_REALTIME time_set=2020-01-01T00:00:00.000000005Z uid=65534",
            "kind=clock call=settimeofday result=EPERM time_set=2020-01-01T00:00:00.000007000Z",
            "kind=clock call=adjtimex result=EPERM bits=0x2",
            "kind=clock call=clock_adjtime result=EPERM bits=0x100 clock=CLOCK_REALTIME",
            "kind=clock call=clock_settime result=EINVAL clock=CLOCK_MONOTONIC",
        ],
    ),
    row(
        5,
        Act::Calls("names"),
        &[
            "kind=hostname call=sethostname result=EPERM name=refused uid=65534",
            "kind=hostname call=setdomainname result=EPERM name=refused.example",
            "kind=hostname call=sethostname result=ok name=apart",
            "kind=hostname call=setdomainname result=ok name=apart.example",
        ],
    ),
    row(
        6,
        Act::Shell("echo a > /etc/issue; echo a > /etc/issue.net"),
        &["kind=file_create path=/etc/issue", "kind=file_create path=/etc/issue.net"],
    ),
    row(
        7,
        Act::Shell("echo a > /etc/hosts; echo a > /etc/hostname; echo a > /etc/networks"),
        &[
            "kind=file_create path=/etc/hosts",
            "kind=file_create path=/etc/hostname",
            "kind=file_create path=/etc/networks",
        ],
    ),
    row(
        8,
        Act::Shell(
            "for place in network netplan sysconfig/network-scripts; do mkdir -p /etc/$place; echo a > /etc/$place/x; done",
        ),
        &[
            "kind=file_create path=/etc/network/x",
            "kind=file_create path=/etc/netplan/x",
            "kind=file_create path=/etc/sysconfig/network-scripts/x",
        ],
    ),
    row(
        9,
        Act::Shell("mkdir /etc/NetworkManager; echo a > /etc/NetworkManager/x"),
        &["kind=file_create path=/etc/NetworkManager/x"],
    ),
    row(
        10,
        Act::Shell(
            "cp /bin/true /srv/user; chmod 4755 /srv/user; cp /bin/true /srv/group; chmod 2755 /srv/group; \
             cp /bin/true /srv/capable; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 /srv/capable; cp /bin/true /srv/plain; \
             for program in user group capable plain; do $nobody /srv/$program; done",
        ),
        &[
            "kind=exec exe=/srv/user flag=setuid uid=65534 euid=0",
            "kind=exec exe=/srv/group flag=setuid gid=65534 egid=0",
            "kind=exec exe=/srv/capable flag=setuid caps_gained=cap_net_raw euid=65534",
        ],
    ),
    row(
        11,
        Act::Shell(
            "echo a > /etc/secret; chmod 600 /etc/secret; ! $nobody cat /etc/secret; ! $nobody truncate -s 0 /etc/secret; \
                    ! $nobody touch /etc/new",
        ),
        &[
            "kind=file_denied path=/etc/secret result=EACCES uid=65534",
            "kind=file_denied path=/etc/new result=EACCES",
        ],
    ),
    row(
        12,
        Act::Shell("echo a > /etc/group+; mv /etc/group+ /etc/group"),
        &["kind=file_rename path=/etc/group+ path_to=/etc/group"],
    ),
    row(
        13,
        Act::Shell("echo a > /etc/passwd+; mv /etc/passwd+ /etc/passwd; ln /etc/passwd /etc/other"),
        &["kind=file_rename path_to=/etc/passwd", "kind=file_link path=/etc/passwd path_to=/etc/other"],
    ),
    row(
        14,
        Act::Shell("for file in shadow gshadow; do echo a > /etc/$file+; mv /etc/$file+ /etc/$file; done"),
        &["kind=file_rename path_to=/etc/shadow", "kind=file_rename path_to=/etc/gshadow"],
    ),
    row(
        15,
        Act::Shell("mkdir /etc/security; echo a > /etc/security/opasswd"),
        &["kind=file_create path=/etc/security/opasswd"],
    ),
    row(
        16,
        Act::Shell("ln -s /srv/a /etc/nsswitch.conf"),
        &["kind=file_symlink path=/etc/nsswitch.conf path_to=/srv/a"],
    ),
    row(
        17,
        Act::Shell("echo a > /etc/pam.conf; mkdir /etc/pam.d; echo a > /etc/pam.d/sshd"),
        &["kind=file_create path=/etc/pam.conf", "kind=file_create path=/etc/pam.d/sshd"],
    ),
    row(18, Act::Shell("echo a > /srv/a; chmod 640 /srv/a"), &["kind=attr_mode path=/srv/a mode_set=0640"]),
    row(
        19,
        Act::Shell("echo a > /srv/a; chown 1000:1001 /srv/a"),
        &["kind=attr_owner path=/srv/a owner_set=1000 group_set=1001"],
    ),
    row(
        20,
        Act::Shell(
            "cp /bin/true /srv/a; setfattr -n security.capability -v 0x0100000201000000000000000000000000000000 /srv/a; setfattr -x security.capability /srv/a; touch ${STORE%/*}/flags; chattr +d ${STORE%/*}/flags",
        ),
        &[
            "kind=attr_xattr path=/srv/a xattr=security.capability",
            "kind=attr_xattr path=/srv/a flag=removed",
            "kind=attr_flags result=ok",
        ],
    ),
    row(
        21,
        Act::Calls("mounts"),
        &[
            "kind=mount path=/srv fstype=tmpfs source=audited result=ok",
            "kind=mount fstype=tmpfs result=ok bits=0x0",
            "kind=mount path=/srv bits=0x4 result=ok",
            "kind=unmount path=/srv result=ok",
            "kind=mount path=/srv result=EPERM uid=65534",
        ],
    ),
    row(
        22,
        Act::Login("su -s /bin/true nobody; echo 1000 > /proc/self/loginuid"),
        &[
            "kind=login user=nobody service=su",
            "kind=logout user=nobody service=su",
            "kind=session_id call=write loginuid=1000 result=ok",
        ],
    ),
    row(
        23,
        Act::Login(
            "su -s /bin/true nobody; ! setpriv --reuid 65534 --regid 65534 --clear-groups su -c true root",
        ),
        &[
            "kind=auth_ok user=nobody service=su result=ok",
            "kind=login user=nobody",
            "kind=logout user=nobody",
            "kind=auth_failed user=root service=su",
        ],
    ),
    row(
        24,
        Act::Shell("echo a > /srv/a; rm /srv/a; mkdir /srv/b; rmdir /srv/b"),
        &["kind=file_delete path=/srv/a", "kind=dir_delete path=/srv/b"],
    ),
    row(
        25,
        Act::Shell("echo a > /srv/a; mv /srv/a /srv/b"),
        &["kind=file_rename path=/srv/a path_to=/srv/b"],
    ),
    row(
        26,
        Act::Shell(
            "for place in apparmor apparmor.d selinux; do mkdir /etc/$place; echo a > /etc/$place/x; done",
        ),
        &[
            "kind=file_create path=/etc/apparmor/x",
            "kind=file_create path=/etc/apparmor.d/x",
            "kind=file_create path=/etc/selinux/x",
        ],
    ),
    row(
        27,
        Act::Shell("run /srv/chcon; ! run /srv/chcon 1"),
        &["kind=exec exe=/srv/chcon", "kind=exit exe=/srv/chcon code=0", "kind=exit exe=/srv/chcon code=1"],
    ),
    row(
        28,
        Act::Shell("run /srv/setfacl; ! run /srv/setfacl 1"),
        &[
            "kind=exec exe=/srv/setfacl",
            "kind=exit exe=/srv/setfacl code=0",
            "kind=exit exe=/srv/setfacl code=1",
        ],
    ),
    row(
        29,
        Act::Shell("run /srv/chacl; ! run /srv/chacl 1"),
        &["kind=exec exe=/srv/chacl", "kind=exit exe=/srv/chacl code=0", "kind=exit exe=/srv/chacl code=1"],
    ),
    row(
        30,
        Act::Shell("run /srv/usermod; ! run /srv/usermod 1"),
        &[
            "kind=exec exe=/srv/usermod",
            "kind=exit exe=/srv/usermod code=0",
            "kind=exit exe=/srv/usermod code=1",
        ],
    ),
    row(
        31,
        Act::Shell("run /srv/kmod; ln -s kmod /srv/modprobe; /srv/modprobe"),
        &["kind=exec exe=/srv/kmod file=/srv/kmod", "kind=exec exe=/srv/kmod file=/srv/modprobe"],
    ),
    row(32, Act::Calls("modules"), &["kind=module call=init_module result=EPERM params=one=1 uid=65534"]),
    row(33, Act::Calls("modules"), &["kind=module call=finit_module result=EPERM params=two=2 bits=0x1"]),
    row(
        34,
        Act::Calls("modules"),
        &["kind=module call=delete_module result=EPERM name=nothing flag=removed"],
    ),
    row(35, Act::Recorder, &["kind=config"]),
    row(36, Act::Nothing, &[]),
    row(37, Act::Recorder, &["kind=config"]),
    row(
        38,
        Act::Shell(
            "for name in su sudo sudoedit chfn chsh newgrp passwd gpasswd chage crontab mount umount ssh-agent \
                    ssh-keysign unix_update pam_timestamp_check apparmor_parser modprobe fdisk; do run /srv/$name; done",
        ),
        &[
            "kind=exec exe=/srv/su",
            "kind=exec exe=/srv/sudo",
            "kind=exec exe=/srv/sudoedit",
            "kind=exec exe=/srv/chfn",
            "kind=exec exe=/srv/chsh",
            "kind=exec exe=/srv/newgrp",
            "kind=exec exe=/srv/passwd",
            "kind=exec exe=/srv/gpasswd",
            "kind=exec exe=/srv/chage",
            "kind=exec exe=/srv/crontab",
            "kind=exec exe=/srv/mount",
            "kind=exec exe=/srv/umount",
            "kind=exec exe=/srv/ssh-agent",
            "kind=exec exe=/srv/ssh-keysign",
            "kind=exec exe=/srv/unix_update",
            "kind=exec exe=/srv/pam_timestamp_check",
            "kind=exec exe=/srv/apparmor_parser",
            "kind=exec exe=/srv/modprobe",
            "kind=exec exe=/srv/fdisk",
        ],
    ),
    row(
        39,
        Act::Shell(
            "mkdir -p /etc/cron.d /var/spool/cron/crontabs; echo a > /etc/crontab; echo a > /etc/cron.d/x; \
                        echo a > /var/spool/cron/crontabs/root",
        ),
        &[
            "kind=file_create path=/etc/crontab",
            "kind=file_create path=/etc/cron.d/x",
            "kind=file_create path=/var/spool/cron/crontabs/root",
        ],
    ),
    row(
        40,
        Act::Shell(
            "mkdir /var/log/journal /var/log/audit; echo a > /var/log/journal/x; echo a > /var/log/audit/audit.log; \
                        chmod 644 /var/log/audit/audit.log; rm /var/log/journal/x",
        ),
        &[
            "kind=file_create path=/var/log/journal/x",
            "kind=file_write path=/var/log/audit/audit.log flag=first",
            "kind=attr_mode path=/var/log/audit/audit.log",
            "kind=file_delete path=/var/log/journal/x",
        ],
    ),
    row(41, Act::Nothing, &[]),
    row(
        42,
        Act::Shell("echo 1000 > /proc/self/loginuid; /bin/true; echo a > /home/a; chmod 600 /home/a"),
        &[
            "kind=exec exe=/usr/bin/true loginuid=1000",
            "kind=file_create path=/home/a loginuid=1000",
            "kind=attr_mode path=/home/a loginuid=1000",
        ],
    ),
    row(43, Act::Shell("! $nobody touch $STORE/x"), &["flag=store result=EACCES uid=65534"]),
    row(
        44,
        Act::Login("! setpriv --reuid 65534 --regid 65534 --clear-groups su -c true root"),
        &["kind=auth_failed user=root service=su result=EACCES uid=65534"],
    ),
    row(45, Act::Recorder, &["kind=start clean=true", "kind=stop reason=signal", "kind=start clean=false"]),
    row(
        46,
        Act::Calls("objects"),
        &[
            "kind=node_create path=/srv/node result=ok",
            "kind=syscall call=landlock_restrict_self result=EBADF",
        ],
    ),
    row(
        47,
        Act::Shell(
            "echo a > /etc/a; ! $nobody chmod 777 /etc/a; ! $nobody rm -f /etc/a; ! $nobody mkdir /etc/b; \
                        ! $nobody mv /etc/a /etc/b; ! $nobody chown 65534 /etc/a",
        ),
        &[
            "kind=attr_mode path=/etc/a result=EPERM uid=65534",
            "kind=file_delete path=/etc/a result=EACCES",
            "kind=dir_create path=/etc/b result=EACCES",
            "kind=file_rename path=/etc/a result=EACCES",
            "kind=attr_owner path=/etc/a result=EPERM",
        ],
    ),
    row(
        48,
        Act::Calls("power"),
        &[
            "kind=ptrace call=ptrace command=ATTACH result=ok",
            "kind=ptrace call=ptrace command=POKEDATA result=ok",
            "kind=ptrace call=process_vm_writev bytes=8 result=ok",
            "kind=ptrace call=ptrace command=ATTACH target=1 result=EPERM uid=65534",
            "kind=bpf call=bpf command=MAP_CREATE bpf_type=array name=audited result=ok",
            "kind=bpf call=bpf command=PROG_LOAD bpf_type=kprobe name=refused result=EPERM uid=65534",
            "kind=namespace call=unshare namespaces=[\"user\",\"uts\"] result=ok",
            "kind=namespace call=clone namespaces=[\"user\"] result=ok",
            "kind=namespace call=clone3 namespaces=[\"user\"] result=ok",
            "kind=namespace call=setns namespaces=[\"uts\"] result=ok",
            "kind=namespace call=setns namespaces=[\"mnt\"] result=EPERM uid=65534",
            "kind=syscall call=personality bits=0x40000 result=ok",
            "kind=syscall call=userfaultfd bits=0x1 result=ok",
            "kind=syscall call=io_uring_setup bits=0x0 result=ok",
            "kind=syscall call=socket result=EPERM uid=65534",
            "kind=syscall call=acct path=/srv/acct result=EPERM",
            "kind=syscall call=chroot path=/srv result=ok",
            "kind=swap call=swapon path=/srv/swap result=EPERM uid=65534",
            "kind=swap call=swapoff path=/srv/swap result=EPERM flag=removed",
        ],
    ),
    row(
        49,
        Act::Shell("mkdir /home/alice; echo a > /home/alice/.bashrc"),
        &["kind=file_create path=/home/alice/.bashrc uid=0"],
    ),
    row(
        50,
        Act::Calls("restarts"),
        &[
            "kind=reboot call=reboot command=RESTART flag=attempt result=ok",
            "kind=reboot call=reboot command=POWER_OFF result=EPERM uid=65534",
            "kind=kexec call=kexec_load result=EPERM uid=65534",
            "kind=kexec call=kexec_file_load result=EPERM params=quiet",
        ],
    ),
    row(51, Act::Recorder, &["kind=start clean=false", "kind=gap cause=not_recording"]),
];
