//! Where output goes: stdout, or a pager when stdout is a terminal.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::process::{Child, ChildStdin};

use super::pager;

/// Buffered stdout, or a pager.
#[derive(Debug)]
pub enum Sink {
    /// Straight to stdout.
    Stdout(BufWriter<StdoutLock<'static>>),
    /// Through a pager.
    Pager(BufWriter<ChildStdin>, Child),
    /// Into memory.
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>),
}

impl Sink {
    /// Opens stdout, with a pager when that is wanted, stdout is a terminal and a pager starts.
    #[must_use]
    pub fn open(with_pager: bool) -> Self {
        if with_pager
            && io::stdout().is_terminal()
            && let Some(mut child) = pager::start()
            && let Some(stdin) = child.stdin.take()
        {
            return Self::Pager(BufWriter::new(stdin), child);
        }
        Self::Stdout(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// Writes out the rest and waits for the pager. A reader that left early is not an error.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn close(mut self) -> io::Result<()> {
        let flushed = self.flush();
        if let Self::Pager(stdin, child) = self {
            drop(stdin.into_parts());
            pager::wait(child)?;
        }
        flushed
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Pager(out, _) => out.write(bytes),
            #[cfg(test)]
            Self::Memory(out) => out.lock().unwrap().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Pager(out, _) => out.flush(),
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
        }
    }
}
