//! The drivers of the ports under real processes, linked in and as module files, in both ways of catching faults: usr-tests' cases for each, none of which may fail.
//!
//! A test program without the test harness, so that what it skips is printed also when it passes.

mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A driver, in folder example-driver/ports/FOLDER.
struct Driver {
    name: &'static str,
    folder: &'static str,
    /// Devices, and the least number of cases of each.
    devices: &'static [(&'static str, usize)],
}

const DRIVERS: &[Driver] = &[
    Driver { name: "vmops", folder: "linux", devices: &[("vmops0", 20), ("vmops1", 15)] },
    Driver { name: "kiomap", folder: "kiomap", devices: &[("kiomap0", 8)] },
    Driver { name: "upager", folder: "uvm", devices: &[("upager0", 8)] },
];

/// vmops on a board with registers, which a simulated device stands for.
const BOARD: &str = "example-driver/ports/linux/board.toml";
const ON_BOARD: Driver = Driver { name: "vmops", folder: "linux", devices: &[("vmops0", 20)] };

const WAYS: [&str; 2] = ["userfaultfd", "signal"];

/// Programs that the tests need.
struct Programs {
    /// Target directory of cargo.
    target: PathBuf,
    host: PathBuf,
    suite: PathBuf,
    xtask: PathBuf,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

impl Programs {
    /// Builds them as this test was built.
    fn build() -> Programs {
        let host = PathBuf::from(env!("CARGO_BIN_EXE_ports-host"));
        let profile = host.parent().expect("the profile's directory");
        let target = profile.parent().expect("the target directory").to_owned();
        // With the features of the whole workspace, as when all tests are built: nothing is compiled twice.
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "usr-tests",
            "--bin",
            "xtask",
            "--target-dir",
        ]);
        build.arg(&target).current_dir(root());
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "usr-tests does not build");
        let [suite, xtask] = ["usr-tests", "xtask"].map(|name| profile.join(name));
        Programs { target, host, suite, xtask }
    }

    /// The driver's module file, checked as for a kernel; none, and said so, where no compiler can build one.
    fn module(&self, name: &str, own: bool) -> Option<String> {
        let kind = if own { "own" } else { "kernel" };
        let file = self.target.join("module").join(if own { format!("{name}-own") } else { name.to_owned() });
        let path = file.to_str().expect("a path").to_owned();
        let xtask = |args: &[&str]| {
            let mut xtask = Command::new(&self.xtask);
            xtask
                .args(args)
                .current_dir(root())
                .env("CARGO_TARGET_DIR", &self.target)
                .output()
                .expect("xtask")
        };
        // With Linux's whole model, pages of processes included; and beside a framework.
        let limit = if own { "122880" } else { "73728" };
        let built = xtask(&["module", "-p", name, "--framework", kind, "-o", &path, "--limit", limit]);
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        if said.contains("with the library's sources") {
            println!("{name}: skipped as a module: {}", said.trim());
            return None;
        }
        assert!(built.status.success(), "{said}");
        let mut check = vec!["check-module", &path];
        // The framework's own lists have some.
        check.extend((!own).then_some("--deny-panics"));
        let checked = xtask(&check);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        Some(path)
    }

    /// Runs the suite for each of a driver's devices. Returns whether nothing failed.
    fn suite(&self, driver: &Driver, how: &str, module: Option<&str>) -> bool {
        let conf = format!("example-driver/ports/{}/{}.conf", driver.folder, driver.name);
        let what = format!("{},conf={conf},name={}", module.unwrap_or(driver.name), driver.name);
        let what = if module.is_some() { what } else { format!("{},conf={conf}", driver.name) };
        self.run(driver, how, module, &["--driver", &what])
    }

    /// Runs the suite with these options of the host for each of a driver's devices. Returns whether nothing failed.
    fn run(&self, driver: &Driver, how: &str, module: Option<&str>, options: &[&str]) -> bool {
        let mut host = Command::new(&self.host);
        host.arg("run").args(options).args(["--faults", how, "--check", "--", "sh", "-c"]);
        // One start for all devices. A hang is a failure; a slow machine is none.
        host.arg(r#"suite="$0"; for device; do "$suite" --tap --timeout 120 --device "/dev/$device" || exit 1; done"#);
        host.arg(&self.suite).args(driver.devices.iter().map(|(device, _)| device));
        let output = host.current_dir(root()).output().expect("the host");
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = said.lines().filter(|line| line.starts_with("ok ") && !line.contains("# SKIP")).count();
        let kind = module.map_or("linked in", |module| {
            if module.ends_with("-own") { "module with its own framework" } else { "module" }
        });
        let least: usize = driver.devices.iter().map(|(_, least)| least).sum();
        let board = if options.contains(&"--device") { ", on a board" } else { "" };
        println!("{}: {how}, {kind}{board}: {passed} cases pass", driver.name);
        if output.status.success() && passed >= least {
            return true;
        }
        println!(
            "{}: FAILED: {}\n{said}{}",
            driver.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        false
    }
}

/// The suite for a driver, linked in and as modules, in each way of catching faults.
fn driver(programs: &Programs, driver: &Driver, modules: &[Option<String>; 2]) -> bool {
    let modules = modules.iter().flatten().map(|module| Some(module.as_str()));
    let all: Vec<_> = [None].into_iter().chain(modules).collect();
    WAYS.iter().all(|how| all.iter().all(|module| programs.suite(driver, how, *module)))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, what, ..] = args.as_slice()
        && first == "client"
    {
        machine::client(what);
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "--list") {
        println!("machine: test");
        DRIVERS.iter().for_each(|driver| println!("{}: test", driver.name));
        return ExitCode::SUCCESS;
    }
    let programs = Programs::build();
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let asked =
        |name: &str| wanted.is_empty() || wanted.iter().any(|pattern| name.contains(pattern.as_str()));
    let all: Vec<&Driver> = DRIVERS.iter().filter(|driver| asked(driver.name)).collect();
    // One kind after the other: the compiler's libraries are built anew for the other kind.
    let [kernel, own] = [false, true]
        .map(|own| all.iter().map(|driver| programs.module(driver.name, own)).collect::<Vec<_>>());
    let modules = kernel.into_iter().zip(own).map(|(kernel, own)| [kernel, own]);
    let machine = asked("machine").then(|| programs.module("kiomap", false)).flatten();
    if let Some(module) = machine {
        machine::test(
            &programs.host,
            Path::new(&module),
            &root().join("example-driver/ports/kiomap/kiomap.conf"),
        );
        println!("kiomap: on a machine that stays up: busy exactly while it is open or mapped");
    }
    let on_board =
        |how: &&str| programs.run(&ON_BOARD, how, None, &["--driver", ON_BOARD.name, "--device", BOARD]);
    let good = !asked(ON_BOARD.name) || WAYS.iter().all(on_board);
    let others =
        all.iter().zip(modules).fold(true, |good, (next, modules)| driver(&programs, next, &modules) && good);
    if good && others { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
