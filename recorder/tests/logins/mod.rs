//! Logins that tests make: a user for their time, an sshd of our own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::support::{LIMIT, wait_for};

pub const PASSWORD: &str = "Right-horse-9";

/// Whether these programs are there; says loudly what is not tested when one is not.
pub fn has(what: &str, programs: &[&str]) -> bool {
    let is_there = |program: &&str| {
        let search = "PATH=$PATH:/usr/sbin:/sbin; command -v \"$1\"";
        run("sh", &["-c", search, "sh", program], "").status.success()
    };
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: {what} is NOT TESTED: not installed: {missing:?}");
    }
    missing.is_empty()
}

/// Runs a command to its end with these lines as its input.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    child.wait_with_output().expect("wait")
}

pub fn must(program: &str, arguments: &[&str], input: &str) {
    let output = run(program, arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {said}", output.status);
}

pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("mode");
}

/// A user for the time of the test, who may use sudo, and a PAM service of the same name.
pub struct User {
    pub name: String,
    pub uid: u32,
}

impl User {
    pub fn new(home: &Path) -> Self {
        let name = format!("flight{}", std::process::id());
        let home = home.to_str().expect("UTF-8");
        must("useradd", &["--create-home", "--home-dir", home, "--shell", "/bin/sh", &name], "");
        let mut user = Self { name, uid: 0 };
        must("chpasswd", &[], &format!("{}:{PASSWORD}\n", user.name));
        let uid = run("id", &["-u", &user.name], "").stdout;
        user.uid = String::from_utf8_lossy(&uid).trim().parse().expect("uid");
        let [sudoers, service] = user.files();
        if has("sudo", &["sudo"]) {
            let name = &user.name;
            let once = format!("Defaults:{name} passwd_tries=1, lecture=never, !mail_badpass\n");
            write(&sudoers, &format!("{once}{name} ALL=(ALL) ALL\n"), 0o440);
        }
        write(&service, "auth required pam_unix.so\naccount required pam_unix.so\n", 0o644);
        user
    }

    /// What it has outside its home.
    fn files(&self) -> [PathBuf; 2] {
        ["/etc/sudoers.d", "/etc/pam.d"].map(|directory| Path::new(directory).join(&self.name))
    }

    /// Runs a program as this user, without any login.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let uid = self.uid.to_string();
        let mut all = vec!["--reuid", &uid, "--regid", &uid, "--clear-groups"];
        all.extend(arguments);
        run("setpriv", &all, input)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for file in self.files() {
            let _ = std::fs::remove_file(file);
        }
        let _ =
            Command::new("userdel").args(["--force", "--remove", &self.name]).stderr(Stdio::null()).status();
    }
}

/// A process that ends with the test.
pub struct Service(pub Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An sshd of our own on a loopback port.
pub struct Sshd {
    service: Service,
    port: String,
    key: String,
}

impl Sshd {
    pub fn new(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
        for key in ["host", "key"] {
            must("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)], "");
        }
        std::fs::copy(path("key.pub"), path("authorized")).expect("key");
        std::fs::create_dir_all("/run/sshd").expect("/run/sshd");
        let port =
            TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("port").port().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM yes\n\
             PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n\
             PasswordAuthentication yes\nKbdInteractiveAuthentication no\nPidFile none\nUseDNS no\n",
            path("host"),
            path("authorized"),
        );
        std::fs::write(path("sshd_config"), config).expect("config");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &path("sshd_config")]).stdin(Stdio::null()).stderr(Stdio::null());
        let service = Service(command.spawn().expect("sshd"));
        wait_for("sshd", LIMIT, || TcpStream::connect(format!("127.0.0.1:{port}")).ok());
        Self { service, port, key: path("key") }
    }

    /// What every client is told.
    fn options(&self) -> Vec<String> {
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "NumberOfPasswordPrompts=1"]
            .iter()
            .flat_map(|option| ["-o".to_owned(), (*option).to_owned()])
            .chain(["-F", "/dev/null"].map(str::to_owned))
            .collect()
    }

    /// Logs in, runs `id -ru` and logs out. No password: by key.
    pub fn log_in(&self, user: &str, password: Option<&str>) -> Output {
        self.run(user, password, "id -ru")
    }

    /// Logs in, runs a command and logs out. No password: by key.
    pub fn run(&self, user: &str, password: Option<&str>, command: &str) -> Output {
        let (options, user) = (self.options(), format!("{user}@127.0.0.1"));
        let mut ssh = vec!["ssh", "-p", &self.port];
        ssh.extend(options.iter().map(String::as_str));
        match password {
            Some(password) => {
                let how = ["-o", "PreferredAuthentications=password", &user, command];
                run("sshpass", &[&["-p", password][..], &ssh, &how].concat(), "")
            }
            None => {
                let how = ["-o", "PreferredAuthentications=publickey", "-i", &self.key, &user, command];
                run("ssh", &[&ssh[1..], &how].concat(), "")
            }
        }
    }

    /// Sends a file by sftp, by key.
    pub fn put(&self, user: &str, file: &Path, name: &str) {
        let options = self.options();
        let mut words = vec!["-q", "-P", &self.port, "-i", &self.key, "-b", "-"];
        words.extend(options.iter().map(String::as_str));
        let user = format!("{user}@127.0.0.1");
        words.push(&user);
        must("sftp", &words, &format!("put {} {name}\n", file.display()));
    }
}
