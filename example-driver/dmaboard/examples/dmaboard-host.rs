//! `ddi-host` with the driver dmaboard linked in: `cargo run -p dmaboard --example dmaboard-host -- run --driver dmaboard --device board.toml -- PROGRAM`.

fn main() {
    ddi_host::linked::add(&dmaboard::MODULE);
    std::process::exit(ddi_host::cli::main());
}
