//! For the tests of the example drivers under a host: a program that is the test and, started under the host with `client`, the process.
//!
//! A driver's package has the examples `NAME-host` (ddi-host with the driver linked in; the tutorial's is `host`) and whatever its page in docs runs; the page's code is the driver's,
//! and its commands print what it says.
#![allow(dead_code, reason = "each driver's tests use what they need")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A test, with the programs that it needs.
pub type Test = fn(&Programs);

/// Runs the tests that the arguments name, or the client.
pub fn main(package: &'static str, client: fn(), tests: &[(&str, Test)]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "client") {
        client();
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let programs = Programs::build(package);
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|pattern| name.contains(pattern.as_str())) {
            test(&programs);
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// A package's examples, and the file of its module for the kernel.
pub struct Programs {
    package: &'static str,
    /// Where cargo puts what it builds, in this test's profile.
    profile: PathBuf,
}

impl Programs {
    /// Builds them as this test was built.
    fn build(package: &'static str) -> Programs {
        let own = std::env::current_exe().expect("the path of this test");
        // target/PROFILE/deps/under_host-HASH
        let profile = own.ancestors().nth(2).expect("the profile's directory");
        // With the features of the whole workspace, as when all tests are built: nothing is compiled twice.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--examples", "--bin", "xtask", "--target-dir"]);
        build.arg(profile.parent().expect("the target directory"));
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        assert!(build.current_dir(root()).status().expect("cargo").success(), "the examples do not build");
        Programs { package, profile: profile.to_owned() }
    }

    /// What a shell command prints, with `host` and the package's other examples as programs.
    pub fn shell(&self, script: &str) -> String {
        let mut shell = Command::new("sh");
        let host = r#"host() { "$HOST" "$@"; };"#;
        shell.args(["-c", &format!("{host} {script}")]).current_dir(root());
        let path = std::env::var("PATH").expect("PATH");
        shell.env(
            "HOST",
            self.profile.join("examples").join(if self.package == "notice" {
                "host".to_owned()
            } else {
                format!("{}-host", self.package)
            }),
        );
        shell.env("PATH", format!("{}:{path}", self.profile.join("examples").display()));
        let output = shell.output().expect("sh");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// What this test's client prints under the host, with the driver (its name, or a module file) and options.
    pub fn client(&self, driver: &str, options: &str) -> String {
        let own = std::env::current_exe().expect("the path of this test");
        self.shell(&format!("host run --driver {driver} {options} -- '{}' client", own.display()))
    }

    /// Builds the package's module file of at most so many bytes, and checks it as for a kernel: no panic can be reached. Fails with the reason where no compiler can
    /// build one.
    pub fn module(&self, limit: usize) -> Result<PathBuf, String> {
        let file = self.profile.with_file_name("module").join(self.package);
        let xtask = |args: &[&str]| {
            Command::new(self.profile.join("xtask")).args(args).current_dir(root()).output().expect("xtask")
        };
        let path = file.to_str().expect("a path").to_owned();
        let built = xtask(&["module", "-p", self.package, "-o", &path, "--limit", &limit.to_string()]);
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        if said.contains("with the library's sources") {
            return Err(said.trim().to_owned());
        }
        assert!(built.status.success(), "{said}");
        let checked = xtask(&["check-module", "--deny-panics", &path]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        Ok(file)
    }
}

/// Builds the module file of an example, for `Driver::also_module`.
pub fn module(package: &'static str) -> Result<PathBuf, String> {
    Programs::build(package).module(64 * 1024)
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A page of docs.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).expect("a page of docs")
}

/// The blocks of this language in a page of docs, without their fences.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = self::page(page);
    let parts: Vec<&str> = text.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    fenced.filter_map(|part| part.strip_prefix(&format!("{language}\n")).map(str::to_owned)).collect()
}

/// A text without empty lines.
pub fn squeeze(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

/// Runs a page's commands: what follows each in a console block is what it prints.
pub fn commands(programs: &Programs, page: &str) -> usize {
    let mut run = 0;
    for block in blocks(page, "console") {
        let mut commands = block.split("$ ").skip(1).peekable();
        assert!(commands.peek().is_some(), "a console block without a command:\n{block}");
        for command in commands {
            let (script, output) = command.split_once('\n').expect("a whole line");
            assert_eq!(programs.shell(script), output, "{script}");
            run += 1;
        }
    }
    run
}

/// An example driver: its package and its page in docs.
pub struct Example {
    pub package: &'static str,
    pub page: &'static str,
    /// The driver's source, and its driver.conf if it has one.
    pub source: &'static str,
    pub conf: Option<&'static str>,
}

impl Example {
    /// The page shows parts of the driver, as they stand there; an example is short.
    pub fn code_is_shown(&self) {
        let driver = squeeze(self.source);
        let shown = blocks(self.page, "rust");
        assert!(shown.len() >= 4, "{} blocks", shown.len());
        for block in shown {
            assert!(driver.contains(&squeeze(&block)), "the driver has no\n{block}");
        }
        if let Some(conf) = self.conf {
            assert!(
                blocks(self.page, "conf").concat().contains(conf),
                "the page's {}.conf is another",
                self.package
            );
        }
        assert!(self.source.lines().count() < 250);
    }

    /// The page's commands print what it says.
    pub fn commands_do_as_shown(&self) {
        assert!(commands(&Programs::build(self.package), self.page) >= 2);
    }
}
