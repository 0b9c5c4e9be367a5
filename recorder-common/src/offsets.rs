//! Field offsets of the running kernel, resolved by name from its BTF at load time and frozen in `.rodata`.

/// Marks a field that this kernel does not have; the probe leaves out what depends on it.
pub const ABSENT: u32 = u32::MAX;

/// Declares the offsets struct and the list of where each field is looked up, so that the two can't differ.
macro_rules! offsets {
    ($($field:ident = $lookup:literal,)*) => {
        /// Byte offsets, or bit offsets where the lookup ends so; [`ABSENT`] where the kernel lacks the field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct Offsets { $(#[doc = $lookup] pub $field: u32,)* }

        impl Offsets {
            /// Field names with their place, `struct.member.member`, in the order of the struct.
            pub const LOOKUPS: &'static [&'static str] = &[$($lookup),*];
            /// Number of offsets.
            pub const COUNT: usize = Self::LOOKUPS.len();

            /// Builds the struct from offsets in [`Self::LOOKUPS`] order.
            #[must_use]
            pub const fn from_array([$($field),*]: [u32; Self::COUNT]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

offsets! {
    task_pid = "task_struct.pid",
    task_tgid = "task_struct.tgid",
    task_real_parent = "task_struct.real_parent",
    task_group_leader = "task_struct.group_leader",
    task_start_boottime = "task_struct.start_boottime",
    task_cred = "task_struct.cred",
    task_loginuid = "task_struct.loginuid",
    task_sessionid = "task_struct.sessionid",
    task_nsproxy = "task_struct.nsproxy",
    task_thread_pid = "task_struct.thread_pid",
    task_mm = "task_struct.mm",
    task_fs = "task_struct.fs",
    task_files = "task_struct.files",
    task_exit_code = "task_struct.exit_code",
    task_signal = "task_struct.signal",
    signal_live = "signal_struct.live",
    cred_uid = "cred.uid",
    cred_gid = "cred.gid",
    cred_euid = "cred.euid",
    cred_egid = "cred.egid",
    cred_suid = "cred.suid",
    cred_sgid = "cred.sgid",
    cred_fsuid = "cred.fsuid",
    cred_fsgid = "cred.fsgid",
    cred_permitted = "cred.cap_permitted",
    cred_effective = "cred.cap_effective",
    cred_ambient = "cred.cap_ambient",
    nsproxy_mnt_ns = "nsproxy.mnt_ns",
    nsproxy_ipc_ns = "nsproxy.ipc_ns",
    nsproxy_uts_ns = "nsproxy.uts_ns",
    uts_namespace_ns = "uts_namespace.ns",
    ipc_mq_mnt = "ipc_namespace.mq_mnt",
    mnt_namespace_ns = "mnt_namespace.ns",
    pid_namespace_ns = "pid_namespace.ns",
    ns_common_inum = "ns_common.inum",
    pid_level = "pid.level",
    pid_numbers = "pid.numbers",
    upid_ns = "upid.ns",
    mm_arg_start = "mm_struct.arg_start",
    mm_arg_end = "mm_struct.arg_end",
    mm_exe_file = "mm_struct.exe_file",
    mm_mt = "mm_struct.mm_mt",
    mt_root = "maple_tree.ma_root",
    fs_root = "fs_struct.root",
    fs_pwd = "fs_struct.pwd",
    path_mnt = "path.mnt",
    path_dentry = "path.dentry",
    files_fdt = "files_struct.fdt",
    fdt_max_fds = "fdtable.max_fds",
    fdt_fd = "fdtable.fd",
    fdt_open_fds = "fdtable.open_fds",
    fdt_close_on_exec = "fdtable.close_on_exec",
    file_path = "file.f_path",
    file_inode = "file.f_inode",
    file_mode = "file.f_mode",
    file_count = "file.f_count",
    file_ref = "file.f_ref",
    file_private = "file.private_data",
    socket_sk = "socket.sk",
    sock_common = "sock.__sk_common",
    sock_family = "sock_common.skc_family",
    unix_path = "unix_sock.path",
    ns_ops = "ns_common.ops",
    ns_type = "ns_common.ns_type",
    ns_ops_type = "proc_ns_operations.type",
    module_name = "module.name",
    prog_aux = "bpf_prog.aux",
    prog_type = "bpf_prog.type",
    aux_id = "bpf_prog_aux.id",
    aux_name = "bpf_prog_aux.name",
    map_id = "bpf_map.id",
    map_type = "bpf_map.map_type",
    map_name = "bpf_map.name",
    link_id = "bpf_link.id",
    link_prog = "bpf_link.prog",
    vma_end = "vm_area_struct.vm_end",
    vma_flags = "vm_area_struct.vm_flags",
    vma_file = "vm_area_struct.vm_file",
    dentry_parent = "dentry.d_parent",
    dentry_name = "dentry.d_name",
    dentry_inode = "dentry.d_inode",
    dentry_hash = "dentry.d_hash",
    qstr_name = "qstr.name",
    hash_pprev = "hlist_bl_node.pprev",
    mount_mnt = "mount.mnt",
    mount_parent = "mount.mnt_parent",
    mount_mountpoint = "mount.mnt_mountpoint",
    mount_ns = "mount.mnt_ns",
    mount_devname = "mount.mnt_devname",
    vfsmount_root = "vfsmount.mnt_root",
    vfsmount_sb = "vfsmount.mnt_sb",
    inode_ino = "inode.i_ino",
    inode_mode = "inode.i_mode",
    inode_uid = "inode.i_uid",
    inode_gid = "inode.i_gid",
    inode_sb = "inode.i_sb",
    inode_private = "inode.i_private",
    inode_nlink = "inode.i_nlink",
    inode_sb_list = "inode.i_sb_list",
    sb_dev = "super_block.s_dev",
    sb_magic = "super_block.s_magic",
    sb_type = "super_block.s_type",
    fs_type_name = "file_system_type.name",
    sb_inodes = "super_block.s_inodes",
    bprm_filename = "linux_binprm.filename",
    bprm_interp = "linux_binprm.interp",
    bprm_secureexec_bit = "linux_binprm.secureexec:bit",
    bprm_argc = "linux_binprm.argc",
    pt_regs_di = "pt_regs.di",
    pt_regs_si = "pt_regs.si",
    pt_regs_dx = "pt_regs.dx",
    pt_regs_r10 = "pt_regs.r10",
    pt_regs_r8 = "pt_regs.r8",
    pt_regs_r9 = "pt_regs.r9",
}
