/*
 * How workloads are measured: see bench.h.
 */
#include "bench.h"

#define BATCHES 15
#define CLOCK_MONOTONIC 1

/* Of the C library, by what it is here. */
struct host_time {
    long seconds, nanoseconds;
};
extern int clock_gettime(int, struct host_time *);

static boolean_t timed;
static const char *only;

boolean_t
bench_start(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "bytes") == 0)
        return (B_TRUE);
    if (argc < 2 || (strcmp(argv[1], "count") != 0 && strcmp(argv[1], "time") != 0))
        wrong("usage: count|time|bytes [WORKLOAD]");
    timed = argv[1][0] == 't';
    only = argc >= 3 ? argv[2] : NULL;
    return (B_FALSE);
}

/* Everything between entry and return is measured. */
static void __attribute__((noipa))
measured_ops(ulong_t ops, void (*op)(ulong_t))
{
    ulong_t i;

    for (i = 0; i < ops; i++)
        op(i);
}

/* The same, but what is measured is inside of `op`. */
static void __attribute__((noipa))
all_ops(ulong_t ops, void (*op)(ulong_t))
{
    ulong_t i;

    for (i = 0; i < ops; i++)
        op(i);
}

/* The figures are written out after this. */
static void __attribute__((noipa))
end_of_workload(void)
{
}

static double
now(void)
{
    struct host_time time;

    (void) clock_gettime(CLOCK_MONOTONIC, &time);
    return ((double)time.seconds * 1e9 + (double)time.nanoseconds);
}

static int
compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0 ? 1 : difference < 0 ? -1 : 0);
}

static void
run(const char *name, ulong_t ops, void (*prepare)(ulong_t), void (*op)(ulong_t),
    void (*measured)(ulong_t, void (*)(ulong_t)))
{
    double took[BATCHES], start;
    struct counts before;
    int i;

    if (only != NULL && strstr(name, only) == NULL)
        return;
    /* Once to fill the allocator's lists. */
    if (prepare != NULL)
        prepare(8);
    all_ops(8, op);
    if (timed) {
        for (i = 0; i < BATCHES; i++) {
            if (prepare != NULL)
                prepare(ops);
            start = now();
            measured(ops, op);
            took[i] = (now() - start) / (double)ops;
        }
        qsort(took, BATCHES, sizeof (took[0]), compare);
        printf("{\"workload\": \"%s\", \"ns\": %.2f, \"ns_min\": %.2f}\n", name, took[BATCHES / 2], took[0]);
        return;
    }
    if (prepare != NULL)
        prepare(ops);
    before = counts;
    measured(ops, op);
    printf("{\"workload\": \"%s\", \"ops\": %lu, \"allocs\": %.3f, \"locks\": %.3f, \"mutexes\": %.3f, \"hat\": %.3f}\n", name,
        ops, (double)(counts.allocs - before.allocs) / (double)ops, (double)(counts.locks - before.locks) / (double)ops,
        (double)(counts.mutexes - before.mutexes) / (double)ops, (double)(counts.hat - before.hat) / (double)ops);
    end_of_workload();
}

void
bench(const char *name, ulong_t ops, void (*prepare)(ulong_t), void (*op)(ulong_t))
{
    run(name, ops, prepare, op, measured_ops);
}

void
bench_inside(const char *name, ulong_t ops, void (*op)(ulong_t))
{
    run(name, ops, NULL, op, all_ops);
}
