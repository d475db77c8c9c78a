//! `ddi-host` with one more driver linked in: `cargo run -p notice --example host -- run --driver notice -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&notice::MODULE);
    std::process::exit(ddi_host::cli::main());
}
