/*
 * How workloads are measured.
 */
#ifndef BENCH_H
#define BENCH_H

#include "kernel.h"

/* Reads the program's arguments; returns whether memory is to be measured, not workloads. */
extern boolean_t bench_start(int argc, char **argv);
/*
 * Runs a workload: `prepare`, if there is one, gets ready for so many operations, and is not measured; `op` does one.
 */
extern void bench(const char *name, ulong_t ops, void (*prepare)(ulong_t), void (*op)(ulong_t));
/* The same for operations inside of which a function named measured_ops_... is what is to be measured. */
extern void bench_inside(const char *name, ulong_t ops, void (*op)(ulong_t));

#endif /* BENCH_H */
