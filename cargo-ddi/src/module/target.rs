//! The kernel target: the compiler's own freestanding x86-64 target, made into an illumos kernel's.
//!
//! Taking the compiler's description as it prints it keeps this independent of how a version spells its fields. What it
//! already says: no SSE and software floats (`rustc-abi` softfloat), no red zone, kernel code model, panic = abort.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::toolchain::Toolchain;

/// The target's name, which is the file's.
pub const NAME: &str = "x86_64-illumos-kernel";

/// Flags of all code that goes into a kernel.
pub fn flags() -> Vec<String> {
    [
        "--cfg=illumos_kernel",
        "-Cforce-frame-pointers=yes",
        "-Cforce-unwind-tables=no",
        "-Cembed-bitcode=yes",
        // Nothing unwinds: what would be dropped then is no code.
        "-Cpasses=lower-invoke,simplifycfg",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Returns the target's description, as JSON.
///
/// # Errors
/// The compiler cannot describe its freestanding target, or describes another than is known.
pub fn describe(toolchain: &Toolchain) -> Result<String> {
    let output = Command::new(&toolchain.rustc)
        .args(["-Zunstable-options", "--print", "target-spec-json", "--target", "x86_64-unknown-none"])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .with_context(|| format!("cannot run {}", toolchain.rustc.display()))?;
    if !output.status.success() {
        bail!("{} cannot describe its freestanding target", toolchain.rustc.display());
    }
    let mut spec: Value =
        serde_json::from_slice(&output.stdout).context("the compiler's target description is not JSON")?;
    let expected = [
        ("code-model", json!("kernel")),
        ("disable-redzone", json!(true)),
        ("panic-strategy", json!("abort")),
    ];
    for (key, value) in expected {
        if spec[key] != value {
            bail!(
                "{}: the freestanding target has {key} {}, not {value}",
                toolchain.rustc.display(),
                spec[key]
            );
        }
    }
    let changes = [
        ("os", json!("illumos")),
        ("target-family", json!(["unix"])),
        ("is-like-solaris", json!(true)),
        // The loader knows no GOT and no PLT: absolute and direct pc-relative addresses only.
        ("relocation-model", json!("static")),
        ("position-independent-executables", json!(false)),
        ("static-position-independent-executables", json!(false)),
        ("relro-level", json!("off")),
        ("plt-by-default", json!(true)),
        // What the kernel's stack traces follow.
        ("frame-pointer", json!("always")),
        // Nobody unwinds in the kernel, and nobody grows its stacks.
        ("default-uwtable", json!(false)),
        ("requires-uwtable", json!(false)),
        ("stack-probes", json!({"kind": "none"})),
        ("has-thread-local", json!(false)),
        ("singlethread", json!(false)),
        (
            "metadata",
            json!({"description": "illumos kernel module", "tier": 3, "host_tools": false, "std": false}),
        ),
    ];
    for (key, value) in changes {
        spec[key] = value;
    }
    Ok(format!("{spec:#}\n"))
}
