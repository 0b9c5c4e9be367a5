//! Does to a process what a debugger in the hands of root does: makes one of its threads call something.

use std::ffi::c_void;
use std::ptr::null_mut;

use super::{LIMIT, wait_for};

/// `syscall`, as bytes of a program.
const SYSCALL: i64 = 0x050f;

/// Has the main thread of `pid` put its stdin in the place of a descriptor, which closes what was there.
pub fn close(pid: u32, descriptor: u32) {
    let pid = i32::try_from(pid).expect("pid");
    let closed = wait_for("a moment in which the thread is in a system call", LIMIT, || {
        ptrace(libc::PTRACE_ATTACH, pid, null_mut());
        await_stop(pid);
        let result = call(pid, libc::SYS_dup2.cast_unsigned(), [0, u64::from(descriptor)]);
        ptrace(libc::PTRACE_DETACH, pid, null_mut());
        result
    });
    assert_eq!(closed, u64::from(descriptor), "dup2");
}

/// One system call by the stopped thread; `None` when it does not stand behind one.
fn call(pid: i32, number: u64, [first, second]: [u64; 2]) -> Option<u64> {
    // SAFETY: numbers only.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let place = |registers: &mut libc::user_regs_struct| std::ptr::from_mut(registers).cast::<c_void>();
    ptrace(libc::PTRACE_GETREGS, pid, place(&mut registers));
    let at = registers.rip - 2;
    // SAFETY: the thread is stopped and traced by us; the request reads its memory only.
    let code = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, pid, at as *mut c_void, null_mut::<c_void>()) };
    if code & 0xffff != SYSCALL {
        return None;
    }
    let before = registers;
    (registers.rip, registers.rax, registers.orig_rax) = (at, number, u64::MAX);
    (registers.rdi, registers.rsi) = (first, second);
    ptrace(libc::PTRACE_SETREGS, pid, place(&mut registers));
    ptrace(libc::PTRACE_SINGLESTEP, pid, null_mut());
    await_stop(pid);
    ptrace(libc::PTRACE_GETREGS, pid, place(&mut registers));
    let result = registers.rax;
    // What it was waiting for was interrupted, which every program has to bear.
    let interrupted = -i64::from(libc::EINTR);
    let mut after = before;
    (after.rax, after.orig_rax) = (interrupted.cast_unsigned(), u64::MAX);
    ptrace(libc::PTRACE_SETREGS, pid, place(&mut after));
    Some(result)
}

fn ptrace(request: libc::c_uint, pid: i32, data: *mut c_void) {
    // SAFETY: `data` is null or a place for the registers of a thread that is traced by us.
    let result = unsafe { libc::ptrace(request, pid, null_mut::<c_void>(), data) };
    assert_ne!(result, -1, "ptrace({request}): {}", std::io::Error::last_os_error());
}

fn await_stop(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is a place for the answer; the thread is traced by us.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "{status:#x}");
}
