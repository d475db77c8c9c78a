//! C drivers, compiled for the kernel with gcc from this project's headers, loaded as modules, under real processes.
//!
//! Each test compiles a fixture, runs `ddi-host run --driver FIXTURE -- THIS PROGRAM`, and the client's half, an ignored test of the same
//! name, does what a user program would. Without gcc the tests say that they are skipped.

mod devices;
mod maps;
mod regs;
mod root;
mod run;
mod soft;
mod turns;
mod wrong;
