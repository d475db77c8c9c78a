//! Runs the workloads of the reference's cost table on segdev, over a platform whose calls only count themselves.
//!
//! `segdev-bench count` is for callgrind: collection is to be toggled by `measured_ops`, and a dump written after each
//! `end_of_workload`. `segdev-bench time` prints nanoseconds. Both print one JSON line for each workload, in the order of the
//! dumps. `cargo xtask perf` runs them and compares.
//!
//! One thread only: the allocator and the counters rely on it.

mod alloc;
mod platform;
mod work;

use std::process::ExitCode;
use std::time::Instant;

use platform::Behaviour::{Ctx, CtxLast, Default};
use serde_json::json;
use work::{Faults, Fork, MapUnmap, PingPong, Split, Whole, Workload};

/// Everything between entry and return is measured.
#[inline(never)]
fn measured_ops<W: Workload>(workload: &mut W, n: u64) {
    for i in 0..n {
        workload.op(i);
    }
}

/// The figures are written out after this.
#[inline(never)]
fn end_of_workload(name: &str) {
    std::hint::black_box(name);
}

struct Bench {
    time: bool,
    only: Option<String>,
}

impl Bench {
    /// Runs one workload, of which `n` operations are a batch.
    fn run<W: Workload>(&self, name: &str, n: u64, make: impl FnOnce() -> W) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        let mut workload = make();
        // Once to fill the allocator's lists; under callgrind too, where it is not to be counted.
        workload.prepare(8);
        for i in 0..8 {
            workload.op(i);
        }
        workload.clean();
        let line = if self.time { time(&mut workload, n) } else { count(&mut workload, n) };
        let mut line = line;
        line["workload"] = name.into();
        println!("{line}");
        end_of_workload(name);
    }
}

fn count<W: Workload>(workload: &mut W, n: u64) -> serde_json::Value {
    workload.prepare(n);
    let (allocs, calls) = (alloc::asked().count, platform::calls());
    measured_ops(workload, n);
    let (allocs2, calls2) = (alloc::asked().count, platform::calls());
    workload.clean();
    json!({
        "ops": n,
        "allocs": (allocs2 - allocs) as f64 / n as f64,
        "locks": (calls2.locks - calls.locks) as f64 / n as f64,
        "hat": (calls2.hat - calls.hat) as f64 / n as f64,
    })
}

fn time<W: Workload>(workload: &mut W, n: u64) -> serde_json::Value {
    let mut batches: Vec<f64> = (0..15)
        .map(|_| {
            workload.prepare(n);
            let start = Instant::now();
            measured_ops(workload, n);
            let took = start.elapsed();
            workload.clean();
            took.as_nanos() as f64 / n as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    json!({"ops": n, "ns": batches[7], "ns_min": batches[0]})
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let time = match args.next().as_deref() {
        Some("count") => false,
        Some("time") => true,
        Some("bytes") => {
            bytes();
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("usage: segdev-bench count|time|bytes [WORKLOAD]");
            return ExitCode::from(2);
        }
    };
    let bench = Bench { time, only: args.next() };
    table(&bench);
    growth(&bench);
    ExitCode::SUCCESS
}

/// The workloads of the reference's table, under its names.
fn table(bench: &Bench) {
    for (umem, kind) in [(true, "umem"), (false, "devmem")] {
        for (access, what) in [(None, "null"), (Some(Default), "default")] {
            let name = format!("W1 single-page fault, 1 handle, {kind}, access {what}");
            bench.run(&name, 2000, || Faults::one(umem, access, false));
        }
    }
    for (access, what) in [(None, "null"), (Some(Default), "default")] {
        let name = format!("W1L single-page fault in a 4 MiB devmem mapping, 2 MiB pages, access {what}");
        bench.run(&name, 2000, || Faults::one(false, access, true));
    }
    for n in [64, 1024] {
        for (umem, kind) in [(true, "umem"), (false, "devmem")] {
            for (access, what) in [(None, "null"), (Some(Default), "default")] {
                let name = format!("W2 single-page fault, {n} handles, {kind}, access {what}");
                bench.run(&name, 2000, || Faults::many(umem, access, n));
            }
        }
    }
    for n in [2, 8, 64] {
        bench.run(&format!("W3 ctx_last ping-pong, {n} mappings"), 2048, || PingPong::new(CtxLast, n));
    }
    bench.run("W3 ctx (unload all others), 8 mappings", 2048, || PingPong::new(Ctx, 8));
    bench.run("W4 mmap+munmap, no callbacks", 500, || MapUnmap::new(None, 0, 0));
    for n in [0, 1000, 10000] {
        let name = format!("W4 mmap+munmap, {n} others live on the same device, callbacks");
        bench.run(&name, 500, || MapUnmap::new(Some(Default), n, 0));
    }
    for n in [1000, 10000] {
        let name = format!("W4 mmap+munmap, {n} others live, each on its own device, callbacks");
        bench.run(&name, 500, || MapUnmap::new(Some(Default), 0, n));
    }
    for (access, what) in [(Some(Default), "callbacks"), (None, "no callbacks")] {
        for n in [1, 100, 1000] {
            let ops = if n == 1 { 500 } else { 5 };
            bench.run(&format!("W5 fork+exit, {n} segments, {what}"), ops, || Fork::new(access, n));
        }
    }
    bench.run("W6 devmap_load of 1024 umem pages", 500, || Whole::new(true, true));
    bench.run("W6 devmap_load of 1024 devmem pages", 500, || Whole::new(false, true));
    for (umem, kind) in [(true, "umem"), (false, "devmem")] {
        for (access, what) in [(None, "no callbacks"), (Some(Default), "callbacks")] {
            let name = format!("W7 middle munmap splitting one {kind} handle, {what}");
            bench.run(&name, 500, || Split::new(umem, access));
        }
    }
    bench.run("W8 devmap_unload of 1024 umem pages", 500, || Whole::new(true, false));
    bench.run("W8 devmap_unload of 1024 devmem pages", 500, || Whole::new(false, false));
    for (n, ops) in [(1, 500), (64, 50), (1024, 5)] {
        let name = format!("W10 mmap+munmap of one mapping of {n} handles, callbacks");
        bench.run(&name, ops, || MapUnmap::handles(n));
    }
}

/// How the workloads grow: `curve NAME SIZE`.
fn growth(bench: &Bench) {
    for n in [1, 4, 16, 64, 256, 1024, 4096] {
        bench.run(&format!("curve fault-by-handles {n}"), 2000, || Faults::many(true, Some(Default), n));
    }
    for n in [0, 10, 100, 1000, 10_000, 100_000] {
        let name = format!("curve map-by-mappings {n}");
        bench.run(&name, 500, || MapUnmap::new(Some(Default), n, 0));
    }
    for n in [0, 10, 100, 1000, 10_000] {
        let name = format!("curve map-by-devices {n}");
        bench.run(&name, 500, || MapUnmap::new(Some(Default), 0, n));
    }
    for n in [1, 4, 16, 64, 256, 1024] {
        bench.run(&format!("curve load-by-pages {n}"), 500, || Whole::pages(true, true, n));
    }
    for n in [2, 8, 64, 512, 4096] {
        bench.run(&format!("curve switch-by-mappings {n}"), 4096, || PingPong::new(CtxLast, n));
    }
}

fn bytes() {
    let (more, first) = MapUnmap::bytes(Some(Default));
    let (plain, _) = MapUnmap::bytes(None);
    println!("{}", json!({"mapping": more, "first": first, "plain": plain}));
}
