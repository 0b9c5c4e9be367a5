//! One-line secrets in the state directory: read only when nobody else could have, written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::StoreError;
use super::access::check_owner;

/// They are one short line.
const LENGTH_MAX: u64 = 4096;

/// The line, without its end; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, StoreError> {
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(no_follow).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(path, "opening the key")(error)),
    };
    check_owner(&file, path)?;
    let mode = file.metadata().map_err(StoreError::io(path, "reading the mode"))?.mode();
    if mode & 0o077 != 0 {
        return Err(StoreError::Access {
            path: path.to_owned(),
            what: format!("its mode is {:04o}: others may have read the private key", mode & 0o7777),
            mend: format!("chmod 0600 '{}'", path.display()),
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LENGTH_MAX).read_to_string(&mut text).map_err(StoreError::io(path, "reading the key"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(Some(text))
}

/// Writes a line that was not there; the directory is.
pub(crate) fn write(path: &Path, line: &str) -> Result<(), StoreError> {
    // Written beside and renamed: a crash leaves a whole key or none.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::remove_file(beside)
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside))
        .and_then(|mut file| {
            file.write_all(line.as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(beside, path))
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(StoreError::io(path, "writing the key"))
}
