//! A mount table as text of /proc/PID/mountinfo: which file system lies where.

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Device of the file system, `major:minor`.
    pub dev: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// Which part of the file system is mounted.
    pub root: Vec<u8>,
    /// Type of the file system.
    pub fstype: Vec<u8>,
}

/// The mounts of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mounts {
    list: Vec<Mount>,
}

impl Mounts {
    /// Reads a mountinfo text. Lines in an unknown form are passed over.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self { list: text.split(|&byte| byte == b'\n').filter_map(mount).collect() }
    }

    /// The mount that an absolute path lies in, by its name alone: links in it are not followed. Of several mounts at one
    /// place the last covers the others.
    #[must_use]
    pub fn of(&self, path: &[u8]) -> Option<&Mount> {
        self.list
            .iter()
            .filter(|mount| below(path, &mount.point).is_some())
            .max_by_key(|mount| mount.point.len())
    }

    /// Where a file of a file system is seen: the shortest path of those that no other mount covers. `inside` is its path
    /// from the root of the file system `dev`.
    #[must_use]
    pub fn place(&self, dev: &[u8], inside: &[u8]) -> Option<Vec<u8>> {
        let places = self.list.iter().filter(|mount| mount.dev == dev).filter_map(|mount| {
            let place = joined(&mount.point, below(inside, &mount.root)?);
            self.of(&place).is_some_and(|seen| std::ptr::eq(seen, mount)).then_some(place)
        });
        places.min_by_key(Vec::len)
    }

    /// Every mount, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.list.iter()
    }

    /// The first mount of a file system type.
    #[must_use]
    pub fn of_type(&self, fstype: &[u8]) -> Option<&Mount> {
        self.list.iter().find(|mount| mount.fstype == fstype)
    }
}

/// The rest of a path below a directory: empty or beginning with `/`; `None` when it is not below.
#[must_use]
pub fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(directory.strip_suffix(b"/").unwrap_or(directory))?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

/// A path with the rest that [`below`] gave.
#[must_use]
fn joined(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut path = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
    path.extend_from_slice(if rest == b"/" { b"" } else { rest });
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// `36 35 98:0 /root /point rw,noatime shared:1 - ext3 /dev/root rw`, optional fields before the dash.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let dev = fields.nth(2)?.to_vec();
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    fields.find(|field| *field == b"-")?;
    Some(Mount { dev, point, root, fstype: fields.next()?.to_vec() })
}

/// Blanks, line ends and backslashes stand as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) = (first, behind) {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = tail;
        } else {
            bytes.push(first);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 / / rw shared:1 master:2 - ext4 /dev/vda rw\n\
        23 27 0:22 / /sys rw - sysfs sysfs rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n50 27 8:1 /x /mnt/a\\040b\\134 rw - xfs /dev/sda rw\nodd\n";

    #[test]
    fn a_file_is_seen_where_its_file_system_is_mounted() {
        let mounts = Mounts::parse(TEXT);
        let place = |dev: &str, inside: &str| {
            mounts.place(dev.as_bytes(), inside.as_bytes()).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(place("254:0", "/srv/jail").as_deref(), Some("/srv/jail"));
        assert_eq!(place("254:0", "/").as_deref(), Some("/"));
        assert_eq!(place("8:1", "/x/c").as_deref(), Some("/mnt/a b\\/c"));
        assert_eq!(place("8:1", "/x").as_deref(), Some("/mnt/a b\\"));
        assert_eq!(place("8:1", "/y"), None, "a part that is not mounted");
        assert_eq!(place("254:0", "/sys/kernel"), None, "covered by another mount");
        assert_eq!(place("9:9", "/"), None);
    }

    #[test]
    fn a_path_lies_in_the_deepest_mount_above_it() {
        let mounts = Mounts::parse(TEXT);
        let of = |path: &str| {
            mounts.of(path.as_bytes()).map(|mount| String::from_utf8(mount.fstype.clone()).unwrap())
        };
        let cases = [
            ("/", "ext4"),
            ("/proc", "proc"),
            ("/proc/1/mem", "proc"),
            ("/process", "ext4"),
            ("/sys/fs/cgroup/x", "tmpfs"),
            ("/sys/fs/cgroup/unified/x", "cgroup2"),
            ("/sys/kernel", "sysfs"),
            ("/mnt/a b\\/c", "xfs"),
        ];
        for (path, fstype) in cases {
            assert_eq!(of(path).as_deref(), Some(fstype), "{path}");
        }
        assert_eq!(of("relative"), None);
        assert_eq!(mounts.of_type(b"cgroup2").unwrap().point, b"/sys/fs/cgroup/unified");
        assert_eq!(Mounts::parse(b""), Mounts::default());
    }
}
