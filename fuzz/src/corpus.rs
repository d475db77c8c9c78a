//! The inputs that are kept, and the test that uses them.
//!
//! `corpus/TARGET.tar.gz` has what fuzzing has found worth keeping, `regressions/TARGET` a file for each fault that was found.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use flate2::read::GzDecoder;

use crate::mutate::mutant;

/// Reads the inputs of a target, each with its name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    let regressions = fs::read_dir(here.join("regressions").join(target)).into_iter().flatten();
    let mut files: Vec<PathBuf> = regressions.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    all.extend(files.iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())));
    let packed = here.join("corpus").join(format!("{target}.tar.gz"));
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(&packed).unwrap()));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = format!("{}: {}", packed.display(), entry.path().unwrap().display());
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        all.push((name, data));
    }
    all
}

/// Returns the processor time of this thread: what others take of the machine is no fault of an input.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned() as u32)
}

/// Gives a target its corpus, and so many mutants of it, the same ones each time.
fn run(target: &str, run: fn(&[u8]), most: usize, mutants: usize) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty());
    let mut longest = (Duration::ZERO, String::new());
    let mut one = |name: &str, data: &[u8]| {
        let begin = spent();
        if let Err(panic) = std::panic::catch_unwind(|| run(data)) {
            let file = std::env::temp_dir().join(format!("ddi-fuzz-{target}"));
            let kept = fs::write(&file, data)
                .map_or_else(|error| error.to_string(), |()| file.display().to_string());
            eprintln!(
                "{name} ({kept}): it does not hold; again: cargo run -p ddi-fuzz --bin {target} -- {kept}"
            );
            std::panic::resume_unwind(panic);
        }
        longest = longest.clone().max((spent() - begin, name.to_owned()));
    };
    inputs.iter().for_each(|(name, data)| one(name, data));
    for number in 0..mutants {
        let mut random = Rng::with_seed(number as u64);
        let base = &inputs[random.usize(..inputs.len())];
        let other = &inputs[random.usize(..inputs.len())];
        let mut data = mutant(&base.1, &other.1, &mut random);
        data.truncate(most);
        one(&format!("mutant {number} of {}", base.0), &data);
    }
    println!("{target}: {} inputs, {mutants} mutants, {:?} at most: {}", inputs.len(), longest.0, longest.1);
    assert!(longest.0 < Duration::from_secs(10), "{} takes {:?}", longest.1, longest.0);
}

macro_rules! tests {
    ($($target:ident: $mutants:literal,)*) => {$(
        #[test]
        fn $target() {
            run(stringify!($target), crate::$target::target, crate::$target::MOST, $mutants);
        }
    )*};
}

tests! {
    conf: 10_000,
    databases: 100,
    devlink: 5000,
    dtrace: 200,
    module: 1000,
    recorded: 5000,
    ring: 100,
    wire: 20_000,
}
