//! `ddi-host` with the driver engines linked in: `cargo run -p engines --example engines-host -- run --driver engines -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&engines::MODULE);
    std::process::exit(ddi_host::cli::main());
}
