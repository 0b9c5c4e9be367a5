//! Why the last recorder stopped, kept outside the store: a store that is full or broken can't tell. Beside the control
//! socket, in memory for the default store; the next start writes it into the record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;

use super::control::socket_path;
use super::sealer::SealerError;
use crate::store::StoreError;

/// Longest reason that is kept.
const LONGEST: usize = 4096;

/// The place of the reason.
#[derive(Clone, Debug)]
pub struct LastFailure {
    path: PathBuf,
}

impl LastFailure {
    /// The place for a store.
    #[must_use]
    pub fn of(store: &Path) -> Self {
        Self { path: socket_path(store).with_file_name("last-failure") }
    }

    /// The reason that was kept, with its time in front.
    #[must_use]
    pub fn recall(&self) -> Option<String> {
        match self.read() {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "why the last recorder stopped can't be read");
                None
            }
        }
    }

    fn read(&self) -> io::Result<String> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a file of the recorder's"));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST as u64).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().unwrap_or_default();
        Ok(if line.is_empty() { "the reason could not be written down".to_owned() } else { line.to_owned() })
    }

    /// Keeps the error when it is one of the store's. The first one stays until it is in the record: what comes after
    /// are its consequences.
    pub fn keep(&self, error: &anyhow::Error) {
        let Some(why) = error.chain().find_map(of_the_store) else { return };
        match self.write(&why) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::error!(path = %self.path.display(), %error, "why recording stopped can't be kept for the next start");
            }
            _ => {}
        }
    }

    fn write(&self, why: &str) -> io::Result<()> {
        let mut line = format!("{:.9} {}", Timestamp::now(), why.replace(char::is_control, " "));
        line.truncate(line.floor_char_boundary(LONGEST - 1));
        line.push('\n');
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(&self.path)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all())
    }

    /// The reason is in the record now.
    pub fn forget(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove it; the next start tells it again");
        }
    }
}

/// The message of an error that ended recording for a reason that lies in the store or its protection.
fn of_the_store(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let store = cause.downcast_ref::<StoreError>();
    if store.is_some_and(|error| matches!(error, StoreError::Io { .. } | StoreError::Unprotected { .. })) {
        return Some(cause.to_string());
    }
    cause
        .downcast_ref::<SealerError>()
        .filter(|error| matches!(error, SealerError::Ended { .. }))
        .map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> anyhow::Error {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        anyhow::Error::new(StoreError::io(Path::new("/store/seg"), "appending")(full))
            .context("recording stopped")
    }

    #[test]
    fn the_first_reason_stays_until_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastFailure { path: folder.path().join("last-failure") };
        assert_eq!(kept.recall(), None);
        kept.keep(&anyhow::anyhow!("a wrong configuration"));
        assert_eq!(kept.recall(), None, "no failure of the store");
        kept.keep(&full());
        let said = kept.recall().unwrap();
        assert!(said.contains("Z /store/seg: appending failed") && said.contains("make room"), "{said}");
        let later = StoreError::Unprotected { path: "/later".into(), why: "gone".to_owned() };
        kept.keep(&later.into());
        assert_eq!(kept.recall(), Some(said));
        kept.forget();
        assert_eq!(kept.recall(), None);
    }

    #[test]
    fn what_somebody_else_put_there_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-failure");
        let secret = folder.path().join("secret");
        fs::write(&secret, "secret\n").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        let kept = LastFailure { path };
        assert_eq!(kept.recall(), None);
        kept.keep(&full());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret\n");
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastFailure { path: folder.path().join("last-failure") };
        let why = format!("line\nbreak {}", "é".repeat(LONGEST));
        kept.keep(&StoreError::Unprotected { path: "/x".into(), why }.into());
        let said = kept.recall().unwrap();
        assert!(said.contains("line break é") && said.len() < LONGEST, "{} bytes", said.len());
    }
}
